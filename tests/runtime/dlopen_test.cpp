// Loads the library of its argument as a program does that takes it as a plug-in: its thread-local
// variables must then fit into what the C library has left for such latecomers.
#include <cstdio>

#include <dlfcn.h>

int main(int argc, char** argv) {
    if (argc != 2) return 2;
    void* library = dlopen(argv[1], RTLD_NOW);
    if (!library) {
        std::fprintf(stderr, "%s\n", dlerror());
        return 1;
    }
    return 0;
}
