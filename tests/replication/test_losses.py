"""The rule by which losses under Sentinel are excused, on logs and writes made by hand."""

import math

from tests.replication.acknowledged import Confirmed
from tests.replication.losses import excuse, unprovoked
from tests.replication.sentinel_logs import Promotion, aborts, promotions

LEADER = """\
5952:X 29 Nov 2026 16:01:44.755 # +odown master main 127.0.0.1 42055 #quorum 3/2
5952:X 29 Nov 2026 16:01:44.886 # +selected-slave slave 127.0.0.1:42561 127.0.0.1 42561 @ main 127.0.0.1 42055
5952:X 29 Nov 2026 16:01:45.173 # +promoted-slave slave 127.0.0.1:42561 127.0.0.1 42561 @ main 127.0.0.1 42055
5952:X 29 Nov 2026 16:01:45.400 # +switch-master main 127.0.0.1 42055 127.0.0.1 42561
5952:X 29 Nov 2026 16:01:50.100 # -failover-abort-no-good-slave master main 127.0.0.1 42561
"""
OTHER = """\
5953:X 29 Nov 2026 16:01:45.252 # +config-update-from sentinel 0017eb 127.0.0.1 48305 @ main 127.0.0.1 42055
5953:X 29 Nov 2026 16:01:45.252 # +switch-master main 127.0.0.1 42055 127.0.0.1 42561
5953:X 29 Nov 2026 16:01:47.886 # +selected-slave slave 127.0.0.1:42307 127.0.0.1 42307 @ main 127.0.0.1 42561
5953:X 29 Nov 2026 16:01:48.173 # +promoted-slave slave 127.0.0.1:42307 127.0.0.1 42307 @ main 127.0.0.1 42561
"""

DEPOSED, PROMOTED = 1, 2
SECOND = Promotion(chosen=100.0, moment=100.5, old=DEPOSED, new=PROMOTED)


def write(moment: float, server: int) -> Confirmed:
    return Confirmed("key", 1, moment, server)


def test_promotions_are_read_from_the_leaders_log() -> None:
    first, second = promotions([OTHER, LEADER], 0.0)
    assert (first.old, first.new, second.old, second.new) == (42055, 42561, 42561, 42307)
    assert first.chosen < first.moment < second.chosen < second.moment
    assert 3.0 - 1e-3 < second.moment - first.moment < 3.0 + 1e-3
    assert promotions([OTHER, LEADER], first.moment + 1) == [second]
    assert aborts([OTHER, LEADER], 0.0) == ["-failover-abort-no-good-slave master main 127.0.0.1 42561"]
    assert aborts([OTHER, LEADER], second.moment + 10) == []


def test_the_first_promotion_after_a_fault_is_provoked() -> None:
    first, second = promotions([OTHER, LEADER], 0.0)
    assert unprovoked([first, second], 42055, first.chosen - 1) == [second]
    assert unprovoked([first, second], 42561, first.chosen - 1) == [first]
    assert unprovoked([first, second], 42055, first.chosen + 0.1) == [first, second]  # chosen before the fault


def test_a_loss_without_an_unprovoked_promotion_has_no_excuse() -> None:
    assert excuse(write(100.0, DEPOSED), [], 90.0, math.inf) is None


def test_what_a_deposed_master_had_confirmed_meanwhile_is_excused() -> None:
    fault, whole = 40.0, 50.0
    assert excuse(write(102.0, DEPOSED), [SECOND], fault, whole) is SECOND
    assert excuse(write(99.5, DEPOSED), [SECOND], fault, whole) is SECOND  # Sentinel knew older offsets
    assert excuse(write(98.5, DEPOSED), [SECOND], fault, whole) is None  # all had it
    assert excuse(write(102.0, PROMOTED), [SECOND], fault, whole) is None


def test_what_a_replica_out_of_sync_had_not_received_is_excused() -> None:
    assert excuse(write(90.0, DEPOSED), [SECOND], 80.0, math.inf) is SECOND
    assert excuse(write(90.0, 3), [SECOND], 80.0, 101.0) is SECOND
    assert excuse(write(90.0, 3), [SECOND], 80.0, 99.0) is None
    assert excuse(write(101.0, 3), [SECOND], 80.0, math.inf) is None


def test_before_the_fault_the_set_is_whole_until_the_first_promotion() -> None:
    assert excuse(write(90.0, 3), [SECOND], 110.0, math.inf) is None
    third = Promotion(chosen=101.0, moment=101.5, old=PROMOTED, new=DEPOSED)
    assert excuse(write(90.0, 3), [SECOND, third], 110.0, math.inf) is third
