"""What a policy asks for besides observations is told by what it can be called with, never by a name in passing."""

from experts.three_phase import ThreePhaseExpert
from h2rh_env.core.policy import OdometryPolicy, Policy, PrivilegedPolicy
from policies.baselines.ibvs import IbvsMask
from policies.registry import make_policy


def test_protocols_tell_policies_apart():
    expert, servo = ThreePhaseExpert(), IbvsMask()
    assert isinstance(expert, Policy)
    assert isinstance(expert, PrivilegedPolicy)
    assert isinstance(servo, Policy)
    assert not isinstance(servo, PrivilegedPolicy)
    assert not isinstance(servo, OdometryPolicy)
    assert isinstance(make_policy("learned"), OdometryPolicy)
