"""Whatever is played, a score adds up, and is the same again."""

from pathlib import Path
from tempfile import TemporaryDirectory

import hypothesis.strategies as st
from hypothesis import given, settings

from testbed.scoring.playing import play
from tests.support.small_scenario import event, small

EVENTS = st.sampled_from(
    [
        "",
        event("hub_down", 8, 12),
        event("broker_down", 9, 11),
        event("grid_out", 10, 15),
        event("meter_gone", 6, 0, 'target = "ann-oven"'),
    ]
)
BUFFER = "{ capacity_wh = 1, level_wh = 1, power_max_w = 30, efficiency_permille = 900 }"
ISLAND = f"grid = true\nbuffer = {BUFFER}\ninertia = {{ content_ws = 60, restart_s = 5 }}"
KEYS = "island_import_mw_max = 30_000\nisland_below_mv = 12_300\nsag_below_mv = 11_950"


@settings(max_examples=15, deadline=None)
@given(
    wanted=st.tuples(*[st.sampled_from([10, 30, 50, 70])] * 2),
    import_w=st.integers(0, 80),
    happens=EVENTS,
    control=st.sampled_from(["no control", "threshold", "dep", "priority", "rotation"]),
)
def test_a_score_adds_up_and_repeats(
    wanted: tuple[int, int], import_w: int, happens: str, control: str
) -> None:
    with TemporaryDirectory() as folder:
        scenario = small(
            Path(folder),
            bus=ISLAND,
            more=KEYS,
            wanted_w=", ".join(map(str, wanted)),
            import_mw=import_w * 1000,
            events=happens,
        )
    played = play(scenario, control)
    score = played.score
    assert 0 <= score.unnecessary_mwh <= score.not_served_mwh <= score.wanted_mwh
    assert score.wanted_mwh == (wanted[0] * 25 + wanted[1] * 30) * 1000 // 3600
    assert 0 <= score.time_to_safe_ms <= score.violation_ms <= 55_000
    assert (score.violation_mwh > 0) <= (score.violation_ms > 0)
    assert play(scenario, control) == played
