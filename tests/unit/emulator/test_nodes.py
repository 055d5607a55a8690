"""The process driver by itself: real processes, no server."""

from __future__ import annotations

import os
import select
import shlex
import subprocess
import time

import pytest

from reconciler.emulator import nodes
from reconciler.emulator.nodes import ProcessNodes
from reconciler.emulator.ports import Launch, Meters
from reconciler.emulator.processes import birth, kill_group


@pytest.fixture
def driver(tmp_path):
    made = ProcessNodes(tmp_path)
    made.make_node("p", "n")
    yield made
    made.stop()


def launch(run="00000001", command="/bin/sh -c 'echo x >> ran; sleep 30'", job="j"):
    directory = f"workitems/{job}/job-1/t"
    paths = {"AZ_BATCH_TASK_DIR": directory, "AZ_BATCH_NODE_ROOT_DIR": ""}
    return Launch(run, "p", "n", directory, command, paths=paths)


def eventually(question, seconds=60.0):
    deadline = time.monotonic() + seconds
    while not (answer := question()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return answer


def pid_of(driver, run="00000001", job="j"):
    file = driver.root("p", "n") / f"workitems/{job}/job-1/t/.control/{run}/pid"
    return int(eventually(lambda: file.exists() and file.read_text()).split()[0])


def test_a_run_tells_its_exit_code_and_the_time_it_ended(driver):
    driver.start(launch(command="/bin/sh -c 'exit 42'"))
    [ended] = eventually(lambda: driver.poll(0))
    assert (ended.exit_code, ended.problem) == (42, None)
    assert driver.poll(0) == []
    assert not driver.is_running()


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        ("nothing-of-this-name", "CommandProgramNotFound"),
        ("./nothing", "CommandProgramNotFound"),
        ("", "CommandProgramNotFound"),
        ("'", "CommandLaunchFailed"),
        ("/bin/echo " + "x" * 200_000, "CommandLaunchFailed"),
    ],
)
def test_what_cannot_be_started_is_told_with_a_code(driver, command, problem):
    driver.start(launch(command=command))
    [ended] = driver.poll(0)
    assert (ended.exit_code, ended.problem) == (None, problem)
    assert (driver.root("p", "n") / "workitems/j/job-1/t/stdout.txt").read_bytes() == b""


def test_a_shell_word_is_a_program_not_a_command_of_the_supervisor(driver):
    driver.start(launch(command="exit 7"))
    [ended] = driver.poll(0)
    assert ended.problem == "CommandProgramNotFound"


def test_a_killed_run_is_gone_when_kill_returns_and_is_not_told(driver):
    driver.start(launch())
    pid = pid_of(driver)
    driver.kill("00000001")
    assert birth(pid) is None
    assert driver.poll(0) == []


def test_a_run_is_taken_over_by_a_second_driver_and_runs_once(driver, tmp_path):
    driver.start(launch(command="/bin/sh -c 'echo x >> ran; sleep 0.4; exit 5'"))
    pid_of(driver)
    second = ProcessNodes(tmp_path)
    second.start(launch(command="/bin/sh -c 'echo x >> ran; sleep 0.4; exit 5'"))
    assert list(second.poll(0)) == []
    [ended] = eventually(lambda: second.poll(0))
    assert ended.exit_code == 5
    assert (driver.root("p", "n") / "workitems/j/job-1/t/wd/ran").read_text() == "x\n"


def test_of_two_supervisors_of_one_run_only_one_runs_it(tmp_path):
    control = tmp_path / "control"
    control.mkdir()
    command = ["/bin/sh", str(nodes._SUPERVISOR), str(control), "/bin/sh", "-c", "echo x >> ran; sleep 0.2"]
    both = [subprocess.Popen(command, cwd=tmp_path) for _ in range(2)]
    assert [one.wait() for one in both] == [0, 0]
    assert (tmp_path / "ran").read_text() == "x\n"
    assert (control / "exit").read_text() == "0\n"


def test_a_run_ended_while_no_emulator_was_there_is_told_as_lost(driver, tmp_path):
    driver.start(launch())
    os.kill(pid_of(driver), 9)
    eventually(lambda: birth(pid_of(driver)) is None)
    second = ProcessNodes(tmp_path)
    second.start(launch())
    [ended] = second.poll(0)
    assert (ended.exit_code, ended.problem) == (None, None)


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("kill -TERM 0; sleep 30", 128 + 15),
        ("trap 'kill 0' EXIT; exit 3", 128 + 15),
        ("kill -USR1 0; sleep 30", 128 + 10),
        ("kill -KILL 0; sleep 30", 128 + 9),
    ],
)
def test_a_command_that_ends_its_whole_group_has_failed_and_is_not_taken_for_lost(driver, command, code):
    driver.start(launch(command=shlex.join(["/bin/sh", "-c", command])))
    [ended] = eventually(lambda: driver.poll(0))
    assert (ended.exit_code, ended.problem) == (code, None)
    assert (driver.root("p", "n") / "workitems/j/job-1/t/stderr.txt").read_bytes() == b""


def test_a_run_that_was_taken_over_and_killed_since_has_failed(driver, tmp_path):
    driver.start(launch())
    pid = pid_of(driver)
    second = ProcessNodes(tmp_path)
    second.start(launch())
    assert second.poll(0) == []
    os.kill(pid, 9)
    [ended] = eventually(lambda: second.poll(0))
    assert (ended.exit_code, ended.problem) == (128 + 9, None)


def test_the_bell_rings_while_the_end_of_a_run_has_not_been_told(driver, tmp_path):
    bell = driver.bell()
    if bell is None:
        pytest.skip("this system has no descriptors for processes")
    driver.start(launch(command="/bin/sh -c 'while [ ! -e go ]; do sleep 0.01; done'"))
    second = ProcessNodes(tmp_path)
    second.start(launch(command="/bin/sh -c 'while [ ! -e go ]; do sleep 0.01; done'"))
    assert pid_of(driver)
    assert second.poll(0) == []
    assert not rings(bell) and not rings(second.bell())
    (driver.root("p", "n") / "workitems/j/job-1/t/wd/go").touch()
    eventually(lambda: rings(bell) and rings(second.bell()))
    assert [len(driver.poll(0)), len(second.poll(0))] == [1, 1]
    assert not rings(bell) and not rings(second.bell())


def rings(bell):
    return bool(select.select([bell], [], [], 0)[0])


def test_after_a_crash_what_the_account_no_longer_knows_is_ended_and_removed(driver, tmp_path):
    driver.start(launch(job="known"))
    driver.start(launch("00000002", job="forgotten"))
    known, forgotten = pid_of(driver, job="known"), pid_of(driver, "00000002", "forgotten")
    driver.make_node("p", "gone")
    second = ProcessNodes(tmp_path)
    second.clean_up({("p", "n")}, {"workitems/known/job-1"}, {"00000001"})
    assert (birth(known) is None, birth(forgotten) is None) == (False, True)
    assert sorted(path.name for path in (driver.root("p", "n") / "workitems").iterdir()) == ["known"]
    assert not driver.root("p", "gone").exists()


def test_removing_a_directory_ends_what_was_left_running_in_it(driver, tmp_path):
    beat = tmp_path / "beat"
    driver.start(launch(command=f"/bin/sh -c '(setsid sh -c \"while :; do echo x >> {beat}; sleep 0.05; done\" &)'"))
    eventually(lambda: driver.poll(0))
    eventually(beat.exists)
    driver.remove("p", "n", "workitems/j")
    size = beat.stat().st_size
    time.sleep(0.3)
    assert beat.stat().st_size == size


def test_a_directory_without_rights_goes_too(driver, tmp_path):
    driver.start(launch(command="/bin/sh -c 'mkdir -p a/b; touch a/b/c; chmod 000 a/b a'"))
    eventually(lambda: driver.poll(0))
    driver.remove("p", "n", "workitems/j/job-1/t")
    eventually(lambda: not list((tmp_path / "trash").iterdir()))


def test_a_group_is_ended_with_its_grandchildren_even_without_marks(tmp_path):
    command = ["/bin/sh", "-c", "(while :; do echo x >> beat; sleep 0.05; done) & wait"]
    with subprocess.Popen(command, cwd=tmp_path, start_new_session=True) as leader:
        eventually((tmp_path / "beat").exists)
        kill_group(leader.pid, birth(leader.pid) or "")
    size = (tmp_path / "beat").stat().st_size
    time.sleep(0.3)
    assert (tmp_path / "beat").stat().st_size == size


def test_a_group_is_spared_if_its_number_means_another_process_now(tmp_path):
    with subprocess.Popen(["/bin/sleep", "60"], start_new_session=True) as other:
        kill_group(other.pid, "1")
        assert other.poll() is None
        other.kill()


def test_what_commands_use_is_measured_while_they_run_and_kept_when_they_have_ended(driver):
    if driver.measure("p") is None:
        pytest.skip("this system has no accounts of processes")
    assert driver.measure("p") == Meters()
    driver.start(launch(command="/bin/sh -c 'while [ ! -e go ]; do :; done'"))
    running = eventually(lambda: (found := driver.measure("P")).cpu_seconds > 0.2 and found)
    assert running.memory > 100_000
    assert driver.measure("other") == Meters()
    (driver.root("p", "n") / "workitems/j/job-1/t/wd/go").touch()
    eventually(lambda: driver.poll(0))
    ended = driver.measure("p")
    assert ended.cpu_seconds >= running.cpu_seconds
    assert ended.memory == 0


def test_the_time_of_many_short_commands_adds_up(driver):
    if driver.measure("p") is None:
        pytest.skip("this system has no accounts of processes")
    used = []
    for number in range(3):
        driver.start(launch(f"{number:08d}", command="/bin/sh -c 'i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done'"))
        eventually(lambda: driver.poll(0))
        used.append(driver.measure("p").cpu_seconds)
    assert 0 < used[0] < used[1] < used[2]
