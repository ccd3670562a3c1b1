"""What the measurements of all rounds come to: medians, spreads and ratios within a round."""

from statistics import median

from plan import BASELINE, BENCHES

METRICS = {
    'cpu': ('server CPU, µs', lambda run, bench:
            run['cpu_nanoseconds'] / 1000 / max(run['units'], 1) * bench.scale),
    'rate': ('a second', lambda run, bench: run['units'] / run['seconds'] / bench.scale),
    'p50': ('p50, µs', lambda run, bench: run['latency_microseconds']['p50']),
    'p99': ('p99, µs', lambda run, bench: run['latency_microseconds']['p99']),
    'fin': ('last FIN, ms', lambda run, bench: run['last_fin_milliseconds']),
    'gone': ('last report, ms', lambda run, bench: run['gone_milliseconds']),
}
COLUMNS = {'drain': ('cpu', 'fin', 'gone'), 'discard': ('cpu', 'rate', 'p99')}


def columns(bench):
    return COLUMNS.get(bench.workload, ('cpu', 'rate', 'p50', 'p99'))


def spread(values):
    """Median, lowest and highest."""
    return {'median': median(values), 'lowest': min(values), 'highest': max(values)}


def figure(metric, run, bench):
    return METRICS[metric][1](run, bench)


def ratios(results, bench, contestant, against, against_bench=None, metric=None):
    """The ratio of each round in which both were measured."""
    metric = metric or bench.metric
    of = results.get(bench.name, {}).get(contestant, {})
    to = results.get((against_bench or bench).name, {}).get(against, {})
    return [figure(metric, of[round_], bench) / figure(metric, to[round_], against_bench or bench)
            for round_ in of if round_ in to
            and figure(metric, to[round_], against_bench or bench) > 0]


def late_ratios(row, what='reset', which='max'):
    """Of each round of a crowd, ours to the quicker of the two ways by hand."""
    rounds = row['rounds']
    return [ours[what][which] / min(each[what][which] for each in by_hand)
            for ours, *by_hand in zip(rounds['ringdown'], rounds['connect'], rounds['linger'])]


def counted_each(runs, what):
    """Of each counting run, how many came on a unit; nothing where counting is not permitted."""
    return [run[what] / run['units'] for run in runs if run['units'] and run[what] is not None]


def summarize(results, counts):
    """results[bench][contestant][round] and counts[bench][contestant] (a list of runs) to what is
    reported."""
    made = {}
    for bench in BENCHES:
        of_bench = {}
        for contestant, runs in results.get(bench.name, {}).items():
            row = {metric: spread([figure(metric, run, bench) for run in runs.values()])
                   for metric in columns(bench)}
            to_baseline = ratios(results, bench, contestant, BASELINE)
            if to_baseline:
                row['ratio'] = spread(to_baseline)
            row['disturbed_rounds'] = sum(run['disturbed'] for run in runs.values())
            row['rounds'] = len(runs)
            counted = counts.get(bench.name, {}).get(contestant, [])
            for what in ('system_calls', 'operations', 'punts'):
                each = counted_each(counted, what)
                if each:
                    row[what] = median(each)
            if counted:
                row['workers'] = max(run['workers'] for run in counted)
            for memory in ('resident_bytes_each', 'kernel_bytes_each'):
                values = [run[memory] for run in runs.values() if memory in run]
                if values:
                    row[memory] = median(values)
            of_bench[contestant] = row
        if of_bench:
            made[bench.name] = of_bench
    return made
