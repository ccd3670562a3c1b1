"""What every report must hold."""
import re

FIELDS = [
    'connection', 'peer', 'initiator', 'cause', 'requested', 'ending', 'delivery', 'sent_bytes',
    'unsent_bytes', 'unacknowledged_bytes', 'received_bytes', 'discarded_bytes', 'peer_finished',
    'reset_sent', 'reset_received', 'phase', 'error', 'microseconds']
WORDS = {
    'initiator': {'local', 'peer', 'both', 'kernel'},
    'cause': {'application', 'peer_finished', 'drain', 'dropped', 'canceled', 'peer_reset',
              'deadline', 'idle', 'discard_limit', 'truncated', 'network_timeout', 'error'},
    'requested': {'graceful', 'abort', 'background', 'wait', 'release', 'none'},
    'ending': {'graceful', 'delivered', 'degraded', 'aborted', 'reset', 'lost', 'released',
               'closed'},
    'delivery': {'acknowledged', 'unacknowledged', 'unknown'},
    'phase': {'open', 'flushing', 'fin_sent', 'fin_acknowledged', 'finished'},
}
COUNTS = ['connection', 'sent_bytes', 'unsent_bytes', 'received_bytes', 'discarded_bytes']
FLAGS = ['peer_finished', 'reset_sent', 'reset_received']
TIMES = ['flush', 'fin_acknowledged', 'peer_finished', 'total']


def check_report(report):
    """Every field, its type, and what must hold between fields whatever the peer did."""
    assert list(report) == FIELDS, list(report)
    for field, words in WORDS.items():
        assert report[field] in words, (field, report)
    for field in COUNTS:
        assert type(report[field]) is int and report[field] >= 0, (field, report)
    for field in FLAGS:
        assert type(report[field]) is bool, (field, report)
    assert report['connection'] > 0, report
    assert re.fullmatch(r'\d+(\.\d+){3}:\d+|\[[0-9a-f:.]+\]:\d+|unix:.*', report['peer']), report
    assert report['error'] is None or re.fullmatch('E[A-Z0-9]+', report['error']), report
    times = report['microseconds']
    assert list(times) == TIMES, report
    for name, value in times.items():
        assert type(value) is int and 0 <= value <= times['total'] or \
            value is None and name != 'total', (name, report)

    lacking = report['unacknowledged_bytes']
    unix = report['peer'].startswith('unix:')
    if lacking is None:
        assert unix or report['delivery'] == 'unknown', report
    else:
        assert type(lacking) is int and 0 <= lacking <= report['sent_bytes'], report
    if report['delivery'] == 'acknowledged':
        assert lacking == 0 and report['unsent_bytes'] == 0, report
    if report['ending'] == 'graceful':
        assert report['delivery'] == 'acknowledged' and report['peer_finished'], report
        assert not report['reset_sent'] and report['phase'] == 'finished', report
        assert report['error'] is None, report
        assert None not in times.values(), report
    if report['ending'] == 'delivered':
        assert report['requested'] == 'wait' and report['delivery'] == 'acknowledged', report
        assert not report['reset_sent'], report
    if report['ending'] == 'degraded':
        assert report['requested'] in ('graceful', 'background', 'wait'), report
        assert report['cause'] not in ('application', 'peer_finished', 'peer_reset'), report
    if report['ending'] == 'aborted':
        assert report['requested'] in ('abort', 'none'), report
    assert (report['ending'] == 'reset') == report['reset_received'], report
    assert (report['cause'] == 'peer_reset') == report['reset_received'], report
    assert not (report['reset_sent'] and report['reset_received']), report
    return report
