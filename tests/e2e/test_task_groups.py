"""Task groups and merge tasks, applied: every task once, the merge task last, and nothing to do afterwards."""

from typing import Any

STACK = "apiVersion: reconciler/v1\nkind: Stack\nmetadata: {name: s}\n"
JOB = """\
apiVersion: reconciler/v1
kind: Job
metadata: {name: j}
spec: {poolInfo: {poolId: p}, usesTaskDependencies: true}
taskGroups:
- name: numbers
  parameters:
    n: {range: {last: LAST}}
  template:
    id: ${item.n}
    commandLine: /bin/sh -c 'echo ${item.n} >> "$AZ_BATCH_NODE_SHARED_DIR/ran.txt"'
- name: words
  parameters:
    row: {csv: rows.csv}
  template:
    id: word-${item.row.word}
    commandLine: /bin/sh -c 'echo ${item.row.word} ${item.row.count} >> "$AZ_BATCH_NODE_SHARED_DIR/ran.txt"'
    requiredSlots: ${item.row.count}
mergeTask:
  id: merge
  commandLine: >-
    /bin/sh -c 'cat "$AZ_BATCH_NODE_ROOT_DIR"/../*/shared/ran.txt |
    wc -l > "$AZ_BATCH_NODE_SHARED_DIR/merged.txt"'
"""


def test_a_job_of_groups_runs_every_task_once_and_the_merge_task_last(bench: Any) -> None:
    (bench.folder / "rows.csv").write_text("word,count\none,1\ntwo,2\n")
    pool = (bench.folder / "pool.yaml").read_text("utf-8").replace("targetDedicatedNodes: 2", "targetDedicatedNodes: 1")
    bench.write(
        pool=pool + "  taskSlotsPerNode: 4\n", job=JOB.replace("LAST", "110").replace("${item.n}\n", "'${item.n}'\n", 1)
    )
    done = bench.apply(timeout=120)
    assert done.code == 0, done.out
    assert "tasks: 113 to add (1, 2, 3, ... merge)" in done.out
    (ran,) = bench.shared("ran.txt").values()
    assert sorted(ran) == sorted([*(str(n) for n in range(1, 111)), "one 1", "two 2"])
    assert list(bench.shared("merged.txt").values()) == [["112"]]

    before = bench.last_request
    assert "No changes. The account matches the manifests." in bench.apply().out
    assert bench.writes(since=before) == []

    (bench.folder / "rows.csv").write_text("word,count\none,1\ntwo,2\nthree,1\n")
    changed = bench.run("plan", str(bench.folder))
    assert "tasks: 1 to add (word-three)" in changed.out
