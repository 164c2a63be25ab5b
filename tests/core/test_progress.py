import io
import threading

import pytest

from losstune.core.progress import Progress, format_duration


class FakeClock:
    def __init__(self) -> None:
        self.now_sec = 1000.0

    def __call__(self) -> float:
        return self.now_sec


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


def lines(stream: io.StringIO) -> list[str]:
    return stream.getvalue().splitlines()


def test_the_whole_story_off_a_terminal(clock, stream):
    with Progress(180, "tune", kept=12, stream=stream, clock=clock) as progress:
        clock.now_sec += 51
        progress.update(45)
        clock.now_sec += 153
        progress.update(180)
    assert lines(stream) == [
        "tune: 180 trials to go, 12 kept",
        "tune 45/180, 25%, 0:51 elapsed, about 2:33 left",
        "tune: 180 trials in 3:24",
    ]


def test_the_time_left_comes_from_the_units_of_this_run_alone(clock, stream):
    with Progress(10, "tune", kept=1000, stream=stream, clock=clock) as progress:
        clock.now_sec += 60
        progress.update(5)
        progress.update(10)
    assert "about 1:00 left" in lines(stream)[1]


def test_a_line_per_tenth_when_units_are_quick(clock, stream):
    with Progress(1000, "tune", stream=stream, clock=clock) as progress:
        for done in range(1, 1001):
            clock.now_sec += 0.001
            progress.update(done)
    middle = lines(stream)[1:-1]
    assert [line.split(",")[1] for line in middle] == [f" {percent}%" for percent in range(10, 100, 10)]


def test_a_line_per_half_minute_when_units_are_slow(clock, stream):
    with Progress(1000, "tune", stream=stream, clock=clock) as progress:
        for done in range(1, 61):
            clock.now_sec += 1.0
            progress.update(done)
    assert [line.split(",")[0] for line in lines(stream)[1:-1]] == ["tune 30/1000", "tune 60/1000"]


def test_an_exception_says_how_far_it_came_and_passes_on(clock, stream):
    def interrupted() -> None:
        with Progress(8, "confirm", unit="block", stream=stream, clock=clock) as progress:
            clock.now_sec += 3700
            progress.update(3)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert lines(stream)[-1] == "confirm: ended at 3/8 after 1:01:40"


def test_leaving_early_is_not_called_finished(clock, stream):
    with Progress(8, "confirm", stream=stream, clock=clock) as progress:
        progress.update(7)
    assert lines(stream)[-1] == "confirm: ended at 7/8 after 0:00"


def test_nothing_to_do_is_one_line(clock, stream):
    with Progress(0, "tune", kept=180, stream=stream, clock=clock):
        pass
    assert lines(stream) == ["tune: nothing left to do, 180 trials kept"]


def test_one_unit_is_singular(clock, stream):
    with Progress(1, "prepare", unit="split", stream=stream, clock=clock) as progress:
        progress.update(1)
    assert lines(stream) == ["prepare: 1 split to go", "prepare: 1 split in 0:00"]


def test_the_note_ends_the_line(clock, stream):
    with Progress(4, "tune", stream=stream, clock=clock) as progress:
        clock.now_sec += 2
        progress.update(2, note="best accuracy 0.981")
    assert lines(stream)[1] == "tune 2/4, 50%, 0:02 elapsed, about 0:02 left, best accuracy 0.981"


def test_a_late_lower_count_is_ignored(clock, stream):
    with Progress(10, "tune", stream=stream, clock=clock) as progress:
        progress.update(5)
        progress.update(3)
    assert lines(stream)[-1].startswith("tune: ended at 5/10")
    assert not any("3/10" in line for line in lines(stream))


def test_threads_lose_no_line_and_tear_none(clock, stream):
    total, num_threads = 2000, 8
    with Progress(total, "tune", stream=stream, clock=clock) as progress:
        counts = iter(range(1, total + 1))
        count_lock = threading.Lock()

        def work() -> None:
            while True:
                with count_lock:
                    done = next(counts, None)
                if done is None:
                    return
                progress.update(done)

        threads = [threading.Thread(target=work) for _ in range(num_threads)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert lines(stream)[-1] == "tune: 2000 trials in 0:00"
    assert 3 <= len(lines(stream)) <= 11
    shown = [int(line.split()[1].split("/")[0]) for line in lines(stream)[1:-1]]
    assert shown == sorted(shown)


def test_a_terminal_gets_a_bar_and_the_same_last_line(clock, monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "160")
    stream = Terminal()
    with Progress(4, "tune", kept=2, stream=stream, clock=clock) as progress:
        clock.now_sec += 10
        progress.update(1, note="best 0.9")
    text = stream.getvalue()
    assert "1/4, 25%, 0:10 elapsed, about 0:30 left, best 0.9" in text
    assert "━" in text
    assert text.endswith("tune: ended at 1/4 after 0:10\n")


def test_a_dumb_terminal_gets_lines(clock, monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    stream = Terminal()
    with Progress(2, "tune", stream=stream, clock=clock) as progress:
        progress.update(1)
        progress.update(2)
    assert "\x1b" not in stream.getvalue()
    assert len(lines(stream)) == 3


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0:00"),
        (0.4, "0:00"),
        (59.6, "1:00"),
        (150, "2:30"),
        (3599, "59:59"),
        (3600, "1:00:00"),
        (90061, "25:01:01"),
    ],
)
def test_durations(seconds, text):
    assert format_duration(seconds) == text
