"""The models of outbox, finality and replicas, long (T20); tests/property has them short."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from tests.property.edge.test_outbox import OutboxMachine
from tests.property.hub.test_finality_model import FinalityModel
from tests.property.hub.test_replica_model import Adversary

RUNS, STEPS = 2_000, 50


@pytest.mark.torture
@pytest.mark.parametrize("model", [OutboxMachine, FinalityModel, Adversary])
def test_two_thousand_runs_of_fifty_steps(model: type[RuleBasedStateMachine]) -> None:
    long = settings(
        max_examples=RUNS,
        stateful_step_count=STEPS,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(model, settings=long)
    print(f"{model.__name__}: {RUNS} runs of at most {STEPS} steps, no promise broken")
