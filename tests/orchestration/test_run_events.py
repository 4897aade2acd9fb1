"""What is taken from the records of Snakemake's log."""

import logging

from snakemake_interface_logger_plugins.common import LogEvent
from snakemake_records import info, record

from regbench.orchestration.run_events import RunEvents, RunningJob


def heard(*records: logging.LogRecord) -> RunEvents:
    run = RunEvents()
    for one in records:
        run.take(one)
    return run


def test_jobs_are_counted_by_stage_in_the_order_of_a_study():
    stats = {
        "report": 1,
        "evaluate": 2,
        "evaluate_identity": 1,
        "trial": 4,
        "propose": 2,
        "mine": 3,
        "all": 1,
        "total": 14,
    }
    run = heard(record(LogEvent.RUN_INFO, stats=stats))
    assert list(run.total.items()) == [("trials", 6), ("evaluation", 3), ("report", 1), ("mine", 3)]


def test_a_job_runs_ends_and_fails():
    run = heard(
        info(1, "train", dataset="brains", method="m", seed="0"), info(2, "trial", dataset="brains"), info(3, "all")
    )
    assert [job.rule for job in run.running.values()] == ["train", "trial"]
    run.take(record(LogEvent.JOB_FINISHED, job_id=1))
    run.take(record(LogEvent.JOB_ERROR, jobid=2, rule_name="trial", log=["trial.log"]))
    run.take(record(LogEvent.JOB_FINISHED, job_id=3))
    assert (dict(run.finished), run.running, [job.log for job in run.failed]) == ({"trainings": 1}, {}, ["trial.log"])


def test_jobs_that_a_checkpoint_adds_are_counted():
    run = heard(record(LogEvent.RUN_INFO, stats={"train": 1, "look": 1, "total": 2}), info(1, "train", seed="0"))
    run.take(record(LogEvent.JOB_FINISHED, job_id=1))
    assert run.total == {"trainings": 1, "looks": 1}
    run.take(info(2, "train", seed="1"))
    run.take(info(3, "train", seed="2"))
    assert run.total == {"trainings": 3, "looks": 1}


def test_a_job_that_is_sent_again_runs_again():
    run = heard(info(2, "trial", dataset="brains"), record(LogEvent.JOB_ERROR, jobid=2, rule_name="trial", log=[]))
    assert not run.running
    run.take(record(LogEvent.JOB_STARTED, jobs=[2]))
    assert [job.rule for job in run.running.values()] == ["trial"]


def test_other_records_change_nothing():
    run = heard(record(None, "Building DAG of jobs..."), record(LogEvent.PROGRESS, done=1, total=2))
    assert (run.total, run.running, run.failed) == ({}, {}, [])


def test_names_of_jobs():
    trial = {"dataset": "brains", "method": "m", "replicate": "0", "round": "1", "first": "2", "last": "3"}
    assert RunningJob("trial", trial, (), "").name == "trial brains m, round 1, trials 2 to 3"
    train = {"dataset": "brains", "method": "m", "seed": "0"}
    assert RunningJob("train", train, (), "").name == "train brains m, seed 0"
    assert RunningJob("select", {"dataset": "b", "replicate": "1"}, (), "").name == "select b, replicate 1"
    assert RunningJob("report", {}, (), "").name == "report"
