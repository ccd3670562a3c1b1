"""Single faults that can be planted in a function, found by its syntax tree.

Each operator is one kind of mistake. Left out by rule is what nobody can see: what an assertion
tests, constants, what a variable holds until a call fills it, nanoseconds, and a comparison or a
negation that is a whole condition, because the condition that always or never holds is the
stronger fault.
"""
import collections
import dataclasses
import re

from clang.cindex import CursorKind as Kind

import syntax

COMPARISONS = {b"<": b"<=", b"<=": b"<", b">": b">=", b">=": b">", b"==": b"!=", b"!=": b"=="}
# Of what stays when one operand goes.
DROP_BOTH = {b"&&", b"||", b"|", b"&", b"+", b"*"}
DROP_RIGHT = {b"-", b"/", b"%"}
ASSIGNS = re.compile(rb"(?:[-+*/%&|^]|<<|>>)?=")
NUMBER = re.compile(rb"(\d+)((?!ns\b)[a-z]*)", re.IGNORECASE)
COMMENT = re.compile(rb"//[^\n]*|/\*.*?\*/", re.DOTALL)
STAYS = {Kind.CXX_THROW_EXPR, Kind.CXX_DELETE_EXPR}  # nobody sees a leak; a throw is its `if`
ASSERTIONS = "runtime/internal/assert.hpp"  # what it declares never returns to tell


@dataclasses.dataclass(frozen=True)
class Fault:
    """A piece of text that replaces another in one source; its name outlives renames and moves."""
    source: syntax.Source
    function: str
    operator: str
    ordinal: int
    begin: int
    end: int
    wrong: bytes

    @property
    def name(self):
        return f"{self.source.file}:{self.function}:{self.operator}:{self.ordinal}"

    def text(self):
        """The source with the fault in it."""
        right = self.source.text
        return right[:self.begin] + self.wrong + right[self.end:]

    def undone(self):
        """No fault at all, built and tested like one."""
        return dataclasses.replace(self, function="", operator="none", ordinal=0, begin=0, end=0,
                                   wrong=b"")


def filled_by_calls(body):
    """Where variables are declared that a function gets by reference before anybody reads them."""
    read, filled = set(), set()
    for cursor in body.walk_preorder():
        arguments = cursor.get_arguments() if cursor.kind == Kind.CALL_EXPR else [cursor]
        for each in arguments:
            # By value, a conversion would stand around it.
            if each is not None and each.kind == Kind.DECL_REF_EXPR and each.referenced is not None:
                place = each.referenced.location.offset
                if each is not cursor and place not in read:
                    filled.add(place)
                read.add(place)
    return filled


class Finder:
    """Collects the faults of one function: (operator, begin, end, wrong text)."""

    def __init__(self, text, function):
        self.text = text
        self.found = {}
        self.body = next((each for each in function.get_children()
                          if each.kind in (Kind.COMPOUND_STMT, Kind.UNEXPOSED_STMT)), None)
        if self.body is None:
            return
        self.filled = filled_by_calls(self.body)
        for each in function.get_children():  # a constructor's initialisers, and the body
            if each.kind.is_expression() or each.kind.is_statement():
                self.visit(each)

    def add(self, operator, begin, end, wrong):
        if self.text[begin:end] != wrong:
            self.found.setdefault((begin, end, wrong), operator)

    def replace(self, operator, cursor, wrong):
        self.add(operator, *syntax.span(cursor), wrong)

    def text_of(self, cursor):
        begin, end = syntax.span(cursor)
        return self.text[begin:end]

    # Reading on, from the whole to its parts

    def visit(self, cursor, is_condition=False):
        begin, end = syntax.span(cursor)
        if begin == end or self.is_assertion(cursor) or self.is_made_up(cursor):
            return
        children = list(cursor.get_children())
        for operator in (self.branch, self.loop, self.answer, self.boolean_variable):
            children = operator(cursor, children)
        self.binary(cursor, children, is_condition)
        self.negation(cursor, children, is_condition)
        self.bound(cursor)
        self.literal(cursor)
        self.statements(cursor, children)
        passes_on = cursor.kind in (Kind.UNEXPOSED_EXPR, Kind.PAREN_EXPR) and is_condition
        for each in children:
            self.visit(each, passes_on)

    def is_assertion(self, cursor):
        called = cursor.referenced if cursor.kind == Kind.CALL_EXPR else None
        file = called.location.file if called is not None else None
        return file is not None and file.name.endswith(ASSERTIONS)

    def is_made_up(self, cursor):
        """What clang adds to coroutines stands outside of their bodies; constants are no code."""
        begin = cursor.extent.start.offset
        if cursor.kind == Kind.VAR_DECL:
            is_filled = cursor.location.offset in self.filled and any(
                each.kind == Kind.INTEGER_LITERAL for each in cursor.get_children())
            return is_filled or b"constexpr" in self.text[begin:cursor.location.offset]
        return self.body.kind == Kind.UNEXPOSED_STMT and begin < self.body.extent.start.offset

    def condition(self, cursor, without=()):
        inner = syntax.bare(cursor)
        if inner.kind != Kind.CXX_BOOL_LITERAL_EXPR:  # which the operator for literals turns
            joint = self.operator_of(inner)
            # Dropping one operand of them is the finer fault.
            if joint != b"&&":
                self.replace("always", cursor, b"true")
            if joint != b"||" and "never" not in without:
                self.replace("never", cursor, b"false")
        self.visit(cursor, True)

    def branch(self, cursor, children):
        if cursor.kind not in (Kind.IF_STMT, Kind.CONDITIONAL_OPERATOR):
            return children
        before = []
        if children[0].kind == Kind.DECL_STMT:
            before = [children.pop(0)]
        if children[0].kind == Kind.VAR_DECL:  # `if (T* it = ...)`
            end = children[0].extent.end.offset
            self.add("never", end, end, b"; false")
            return [*before, children[0], *children[2:]]
        if not re.match(rb"if\s+constexpr\b", self.text_of(cursor)):
            # Without its one statement, such an `if` is one that never holds.
            goes = len(children) == 2 and self.what_goes(children[1])
            self.condition(children[0], without=("never",) if goes else ())
        return [*before, *children[1:]]

    def loop(self, cursor, children):
        if cursor.kind == Kind.WHILE_STMT:
            held = children.pop(0)
        elif cursor.kind == Kind.FOR_STMT:
            held = self.between_semicolons(cursor, children)
            if held is None:
                return children
            children.remove(held)
        else:
            return children
        self.replace("never", held, b"false")
        self.visit(held, True)
        return children

    def between_semicolons(self, loop, children):
        """The condition of a `for`, whose children do not tell which part is missing."""
        for each in children[:-1]:
            before = self.text[loop.extent.start.offset:each.extent.start.offset]
            after = self.text[each.extent.end.offset:children[-1].extent.start.offset]
            declared = children[0].kind == Kind.DECL_STMT
            first = b";" in before and (each != children[0] or not declared)
            if first and after.lstrip().startswith(b";"):
                return each
        return None

    def answer(self, cursor, children):
        is_return = cursor.kind == Kind.RETURN_STMT
        is_co_return = (cursor.kind == Kind.UNEXPOSED_STMT
                        and self.text_of(cursor).startswith(b"co_return"))
        if is_co_return:
            children = children[:1]  # the others are what clang makes of it
        if (is_return or is_co_return) and children and syntax.is_bool(children[0]):
            self.condition(children[0])
            return []
        return children

    def boolean_variable(self, cursor, children):
        if cursor.kind == Kind.VAR_DECL and syntax.is_bool(cursor):
            if children and children[-1].kind.is_expression():
                self.condition(children.pop())
        return children

    # One expression

    def operands(self, cursor):
        """The two operands of an operator, built in or overloaded, and its sign with its place."""
        parts = [each for each in cursor.get_children() if each.kind.is_expression()]
        if cursor.kind == Kind.CALL_EXPR and len(parts) == 3:
            parts = [parts[0], parts[2]] if cursor.spelling.startswith("operator") else parts
        if len(parts) != 2:
            return None
        begin, end = parts[0].extent.end.offset, parts[1].extent.start.offset
        outer = (parts[0].extent.start.offset, parts[1].extent.end.offset)
        if begin >= end or outer != syntax.span(cursor):
            return None
        plain = COMMENT.sub(lambda found: b" " * len(found[0]), self.text[begin:end])
        sign = plain.strip()
        return parts[0], sign, begin + plain.find(sign), parts[1]

    def operator_of(self, cursor):
        found = self.operands(cursor)
        return found[1] if found else None

    def binary(self, cursor, children, is_condition):
        found = self.operands(cursor) if cursor.kind.is_expression() else None
        if not found:
            return
        left, sign, place, right = found
        if sign in DROP_BOTH:
            self.replace("drop_left", cursor, self.text_of(right))
        if sign in DROP_BOTH | DROP_RIGHT:
            self.replace("drop_right", cursor, self.text_of(left))
        if sign in COMPARISONS and not (is_condition and sign in (b"==", b"!=")):
            self.add("compare", place, place + len(sign), COMPARISONS[sign])

    def negation(self, cursor, children, is_condition):
        if cursor.kind == Kind.UNARY_OPERATOR and not is_condition:
            if self.text_of(cursor).startswith(b"!") and children:
                self.replace("drop_not", cursor, self.text_of(children[0]))

    def bound(self, cursor):
        """std::min, std::max and std::clamp: one of their arguments alone."""
        if cursor.kind != Kind.CALL_EXPR or cursor.spelling not in ("min", "max", "clamp"):
            return
        called = cursor.referenced
        arguments = list(cursor.get_arguments())
        if called is None or called.semantic_parent.spelling != "std" or len(arguments) < 2:
            return
        self.replace("keep_first", cursor, self.text_of(arguments[0]))
        if cursor.spelling != "clamp":
            self.replace("keep_second", cursor, self.text_of(arguments[1]))

    def literal(self, cursor):
        text = self.text_of(cursor)
        if cursor.kind == Kind.CXX_BOOL_LITERAL_EXPR and text in (b"true", b"false"):
            self.replace("boolean", cursor, b"false" if text == b"true" else b"true")
        number = NUMBER.fullmatch(text) if cursor.kind == Kind.INTEGER_LITERAL else None
        if number and not self.is_compared(cursor):
            self.replace("constant", cursor, b"%d%s" % (int(number[1]) + 1, number[2]))

    def is_compared(self, cursor):
        """Equal to something else is as good as never equal, which is another operator's."""
        begin, end = syntax.span(cursor)
        return re.search(rb"[=!]=\s*$", self.text[:begin]) or re.match(
            rb"\s*[=!]=", self.text[end:])

    # One statement

    def statements(self, cursor, children):
        """What stands as a statement of its own among the parts of a statement goes."""
        if cursor.kind == Kind.COMPOUND_STMT:
            below = children
        elif cursor.kind in (Kind.IF_STMT, Kind.WHILE_STMT, Kind.FOR_STMT, Kind.DO_STMT,
                             Kind.CXX_FOR_RANGE_STMT, Kind.CASE_STMT, Kind.DEFAULT_STMT):
            below = [each for each in children if self.ends_statement(each)]
        else:
            return
        if cursor.kind == Kind.CASE_STMT:
            children.pop(0)  # its label
        for each in below:
            if operator := self.what_goes(each):
                self.replace(operator, each, b"")

    def ends_statement(self, cursor):
        return self.text[cursor.extent.end.offset:].lstrip().startswith(b";")

    def what_goes(self, cursor):
        """The operator that drops an expression which is a statement, if one does."""
        inner = syntax.bare(cursor)
        if not cursor.kind.is_expression() or inner.kind in STAYS:
            return None
        if self.is_assertion(inner):
            return None
        sign = self.operator_of(inner) or b""
        assigns = ASSIGNS.fullmatch(sign) and sign not in COMPARISONS
        return "drop_assignment" if assigns or inner.kind == Kind.UNARY_OPERATOR else "drop_call"


def faults_of(source, unit):
    """Every fault of a source, in the order of the text; ordinals count within a function."""
    counts = collections.Counter()
    faults = []
    for function in syntax.functions(unit, str(source.path)):
        name = syntax.qualified(function)
        for (begin, end, wrong), operator in sorted(Finder(source.text, function).found.items()):
            counts[name, operator] += 1
            faults.append(Fault(source, name, operator, counts[name, operator], begin, end, wrong))
    return faults
