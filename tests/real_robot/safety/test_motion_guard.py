"""What leaves the motion guard is finite, in the workspace, and within step, speed, acceleration and clearance."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from h2rh_env.core.geometry import SE3, rotation_from_euler_xyz, uniform_directions
from h2rh_env.core.gripper import FINGERTIP_DEPTH_M
from real_robot.config import RobotConfig
from real_robot.interfaces import RobotState, Safety
from real_robot.safety.decision import Cause, Verdict
from real_robot.safety.motion_guard import GRIPPER_CORNERS, MotionGuard
from real_robot.safety.perception import SeenSurroundings

CONFIG = RobotConfig(max_refusals=10**9)
START = SE3(np.eye(3), np.array([0.0, 0.0, 0.5]))
STILL = SE3.identity()
EXACT = 1e-9
SMALL_ANGLE = 1e-5  # what `turn_of` neglects, rad/s


class EverywhereArm:
    def is_reachable(self, world_from_gripper):
        return True

    def speed_scale(self, world_from_gripper):
        return 1.0

    def is_allowed(self, world_from_gripper):
        return True


class NowhereArm(EverywhereArm):
    def is_reachable(self, world_from_gripper):
        return False


def sphere(centre, radius, count=400):
    return np.asarray(centre) + radius * uniform_directions(np.random.default_rng(1), count)


def surroundings(hand=(), thing=(), arm=EverywhereArm, advance_m=0.0, keep_off_object=True):
    hand, thing = (np.reshape(np.asarray(p, float), (-1, 3)) for p in (hand, thing))
    return SeenSurroundings(hand, thing, arm(), keep_off_object, advance_m)


def state(pose, time_s=0.0, safety=Safety.NORMAL):
    return RobotState(time_s, pose, np.zeros(3), np.zeros(3), safety)


def begun(pose=START, config=CONFIG):
    guard = MotionGuard(config)
    assert guard.begin(pose).verdict is Verdict.GO
    return guard


def turned(before, after):
    """Angle between rotations, rad, from the length of their difference: exact near zero, and fast."""
    return 2 * np.arcsin(min(1.0, np.linalg.norm(after - before) / np.sqrt(8)))


def turn_of(before, after):
    """Rotation vector (3,) between rotations hardly apart, to third order."""
    turn = after @ before.T
    return np.array([turn[2, 1] - turn[1, 2], turn[0, 2] - turn[2, 0], turn[1, 0] - turn[0, 1]]) / 2


def action(rotation=(0, 0, 0), translation=(0, 0, 0), score=0.0):
    return np.array([*rotation, *translation, score], float)


def step(guard, goal, around, now=0.0):
    return guard.advance(goal, state(guard.setpoint, now), around, now, now)


class Watch:
    """Asserts the guard's promises from what leaves it alone."""

    def __init__(self, guard, around):
        self.guard, self.around = guard, around
        self.before, self.velocity, self.turn = guard.setpoint, np.zeros(3), np.zeros(3)
        self.sent = 0

    def see(self, decision):
        c, dt = CONFIG, CONFIG.control_period_s
        if decision.verdict is Verdict.STOP:
            assert decision.world_from_gripper is None
            return
        pose = decision.world_from_gripper
        assert np.isfinite(pose.matrix).all()
        position = pose.translation
        velocity = (position - self.before.translation) / dt
        speed = np.linalg.norm(velocity)
        gap = self.around.distance(position) - FINGERTIP_DEPTH_M
        zone = c.last_speed_mps if gap < c.last_m else c.near_speed_mps if gap < c.near_m else c.speed_mps
        corners = pose.apply(GRIPPER_CORNERS)
        assert (corners >= c.workspace_low_m - EXACT * np.ones(3)).all()
        assert (corners <= c.workspace_high_m + EXACT * np.ones(3)).all()
        assert speed <= zone + EXACT
        assert np.linalg.norm(velocity - self.velocity) <= c.acceleration_mps2 * dt + EXACT
        turn = turn_of(self.before.rotation, pose.rotation) / dt
        assert np.linalg.norm(turn) <= c.turn_speed_radps + SMALL_ANGLE
        assert np.linalg.norm(turn - self.turn) <= c.turn_acceleration_radps2 * dt + SMALL_ANGLE
        assert self.around.clearance(position) >= c.clearance_m - EXACT
        self.before, self.velocity, self.turn = pose, velocity, turn
        self.sent += 1


AIMS = np.array([[0.35, 0, 0.5], [0.3, 0.05, 0.62], [-2, 0, 0.5], [0, 2, 0.5], [0.3, 0, 3], [0.3, 0.3, -2]])


def random_action(rng, world_from_camera, aim):
    """Towards an aim at full step, random and of any size, or broken; with every turn there is."""
    kind = rng.random()
    if kind < 0.6:
        way = world_from_camera.inverse().apply(aim + 0.05 * rng.normal(size=3))
        return action(rng.uniform(-0.25, 0.25, 3), 0.06 * way / np.linalg.norm(way))
    asked = rng.normal(size=7) * 10.0 ** rng.uniform(-3, 2)
    if kind > 0.98:
        asked[rng.integers(7)] = rng.choice([np.nan, np.inf, -np.inf])
    return asked


def storm(seed, count):
    """Throws `count` actions at a guard near a hand and an object, each followed for a while; returns how many
    setpoints left, how many were sent at speed, and how many actions stopped it."""
    rng = np.random.default_rng(seed)
    hand, thing = sphere([0.35, 0.0, 0.5], 0.06), sphere([0.3, 0.05, 0.62], 0.05)
    around = surroundings(hand, thing, advance_m=None)
    drift = SE3(rotation_from_euler_xyz([0.1, -0.2, 0.3]), np.array([0.05, 0.02, -0.03]))
    guard = begun()
    watch = Watch(guard, around)
    stopped, fast, aim = 0, 0, AIMS[0]
    for _ in range(count):
        if rng.random() < 0.04:
            aim = AIMS[rng.integers(len(AIMS))]
        before = guard.setpoint
        asked = random_action(rng, before @ drift, aim)
        decision = guard.admit_action(asked, drift, around)
        if not np.isfinite(asked).all():
            assert decision.verdict is Verdict.STOP
            assert guard.admit_action(action(), drift, around).verdict is Verdict.STOP
            assert step(guard, before, around).world_from_gripper is None
            stopped += 1
            guard.begin(guard.setpoint)
            watch.velocity = watch.turn = np.zeros(3)
            continue
        goal = decision.world_from_gripper
        assert (goal is None) == (decision.verdict is not Verdict.GO)
        if goal is not None:
            assert np.linalg.norm(goal.translation - before.translation) <= CONFIG.max_step_m + EXACT
            assert turned(before.rotation, goal.rotation) <= CONFIG.max_turn_rad + EXACT
        for _ in range(rng.choice([1, 1, 1, 1, 20])):
            watch.see(step(guard, goal, around))
            fast += guard.speed > CONFIG.near_speed_mps
    return watch.sent, fast, stopped


@pytest.mark.parametrize("seed", range(2))
def test_what_leaves_is_within_every_limit(seed):
    sent, fast, stopped = storm(seed, 3_000)
    assert sent > 12_000
    assert fast > 500
    assert stopped > 20


@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(100, 120))
def test_what_leaves_is_within_every_limit_for_millions_of_set_points(seed):
    storm(seed, 50_000)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=0, max_size=9))
def test_any_list_of_numbers_gives_a_goal_within_a_step_or_a_reason(values):
    guard = begun()
    decision = guard.admit_action(values, STILL, surroundings())
    if len(values) != 7 or not np.isfinite(values).all():
        assert decision.verdict is Verdict.STOP
        assert guard.fault
    else:
        way = decision.world_from_gripper.translation - START.translation
        assert np.linalg.norm(way) <= CONFIG.max_step_m + EXACT


@pytest.mark.parametrize("ticks", range(20, 90, 6))
def test_a_turn_before_a_wall_does_not_carry_past_it(ticks):
    around = surroundings()
    wall_m = CONFIG.workspace_high_m[0] - GRIPPER_CORNERS[:, 0].max()
    guard = begun(SE3(np.eye(3), np.array([wall_m - 0.09, 0.0, 0.5])))
    watch = Watch(guard, around)
    for _ in range(ticks):
        watch.see(step(guard, SE3(np.eye(3), np.array([wall_m, 0.0, 0.5])), around))
    for _ in range(60):
        watch.see(step(guard, SE3(np.eye(3), np.array([wall_m, 0.1, 0.5])), around))


@pytest.mark.parametrize("gap_m", [0.0, 0.005, 0.02, 0.05])
@pytest.mark.parametrize("moves", [False, True])
def test_a_turn_does_not_swing_a_corner_through_a_wall(gap_m, moves):
    """Near a wall a gripper turns on its spot, or on the move, until it meets the wall; never through it."""
    around = surroundings()
    wall_m = CONFIG.workspace_high_m[0] - GRIPPER_CORNERS[:, 0].max() - gap_m - 1e-9
    guard = begun(SE3(np.eye(3), np.array([wall_m, 0.0, 0.5])))
    watch = Watch(guard, around)
    for k in range(1, 200):
        turn = rotation_from_euler_xyz([0.0, min(1.5, 0.02 * k), 0.3 * np.sin(k / 20)])
        aside = 0.04 * np.sin(k / 15) if moves else 0.0
        watch.see(step(guard, SE3(turn, np.array([wall_m + abs(aside) / 10, aside, 0.5])), around))
    assert not guard.fault


DOWN = np.diag([1.0, -1.0, -1.0])


def test_fingertips_below_the_table_are_outside_the_workspace():
    table_m = CONFIG.workspace_low_m[2]
    low = SE3(DOWN, np.array([0.4, 0.0, table_m + FINGERTIP_DEPTH_M - 0.01]))
    assert MotionGuard(CONFIG).begin(low).cause is Cause.OUTSIDE
    guard = begun(SE3(DOWN, np.array([0.4, 0.0, table_m + FINGERTIP_DEPTH_M + 0.02])))
    assert guard.admit(low, surroundings()).cause is Cause.OUTSIDE
    above = SE3(DOWN, np.array([0.4, 0.0, table_m + FINGERTIP_DEPTH_M + 1e-6]))
    assert guard.admit(above, surroundings()).verdict is Verdict.GO


def test_what_the_fingers_hold_is_bounded_too_until_the_guard_begins_anew():
    table_m = CONFIG.workspace_low_m[2]
    here = SE3(DOWN, np.array([0.4, 0.0, table_m + 0.3]))
    lower = SE3(DOWN, np.array([0.4, 0.0, table_m + 0.25]))
    guard = begun(here)
    assert guard.admit(lower, surroundings()).verdict is Verdict.GO
    guard.carry(np.array([[0.0, 0.0, 0.28], [0.0, 0.0, 9.0]]))
    assert guard.admit(lower, surroundings()).cause is Cause.OUTSIDE
    assert guard.admit(here, surroundings()).verdict is Verdict.GO
    guard.begin(here)
    assert guard.admit(lower, surroundings()).verdict is Verdict.GO


def test_a_way_between_two_good_goals_does_not_cut_through_the_clearance():
    hand = START.translation + [0.0, 0.0, -0.2]
    around = surroundings(hand=[hand], advance_m=None)
    edge = [hand + 0.101 * np.array([np.sin(a), 0.0, np.cos(a)]) for a in (-0.4, 0.4)]
    guard = begun(SE3(np.eye(3), edge[0]))
    watch = Watch(guard, around)
    for _ in range(400):
        watch.see(step(guard, SE3(np.eye(3), edge[1]), around))
    assert guard.speed < 1e-3
    assert not guard.fault


@pytest.mark.parametrize("gap_m", [0.05, 0.2])
def test_speed_is_that_of_the_zone(gap_m):
    """Along a plane of points at a fingertip's distance, the arm goes as fast as the zone allows, and no faster."""
    ys = np.linspace(-0.6, 0.6, 400)
    line = np.stack([np.full(400, FINGERTIP_DEPTH_M + gap_m), ys, np.full(400, 0.5)], 1)
    around = surroundings(thing=line, advance_m=None)
    guard = begun()
    for _ in range(60):
        step(guard, SE3(np.eye(3), guard.setpoint.translation + [0, 0.1, 0]), around)
    zone = CONFIG.last_speed_mps if gap_m < CONFIG.last_m else CONFIG.near_speed_mps
    assert guard.speed == pytest.approx(zone, abs=1e-3)


def test_nothing_moves_before_a_measured_pose_is_known():
    guard = MotionGuard(CONFIG)
    assert guard.admit_action(action(), STILL, surroundings()).verdict is Verdict.STOP
    assert step(guard, START, surroundings()).verdict is Verdict.STOP


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_not_finite_is_rejected_before_clamping_and_latches(bad):
    guard = begun()
    assert guard.admit_action(action(translation=(bad, 0, 0)), STILL, surroundings()).verdict is Verdict.STOP
    assert "finite" in guard.fault
    assert step(guard, START, surroundings()).verdict is Verdict.STOP
    assert guard.begin(START).verdict is Verdict.GO
    assert step(guard, START, surroundings()).verdict is Verdict.GO


def test_the_order_is_work_space_before_distance_before_reach():
    guard = begun(SE3(np.eye(3), np.array([0.0, 0.0, 0.07])))
    down = action(translation=(0, 0, -0.05))
    near = surroundings(hand=[[0.0, 0.0, 0.0]], arm=NowhereArm)
    assert "workspace" in guard.admit_action(down, STILL, near).reason
    guard = begun()
    near = surroundings(hand=[[0.0, 0.0, 0.35]], arm=NowhereArm)
    assert "m from hand" in guard.admit_action(action(translation=(0, 0, -0.055)), STILL, near).reason
    assert "reach" in guard.admit_action(action(), STILL, surroundings(arm=NowhereArm)).reason


def test_a_start_outside_the_work_space_is_a_fault():
    guard = MotionGuard(CONFIG)
    assert guard.begin(SE3(np.eye(3), np.array([0.0, 0.0, 9.0]))).verdict is Verdict.STOP


def test_a_hole_in_the_arms_reach_on_the_way_stops_before_it():
    class HolyArm(EverywhereArm):
        def is_reachable(self, world_from_gripper):
            return abs(world_from_gripper.translation[0] - 0.02) > 0.005

    guard, around = begun(), surroundings(arm=HolyArm)
    decisions = [step(guard, SE3(np.eye(3), START.translation + [0.05, 0, 0]), around) for _ in range(100)]
    assert decisions[-1].verdict is Verdict.STOP
    assert guard.setpoint.translation[0] <= 0.015


def test_jumps_are_cut_short_then_refused_then_stop():
    guard = begun(config=RobotConfig(max_jumps=2, max_refusals=3))
    jump = action(translation=(0.3, 0, 0))
    verdicts = [guard.admit_action(jump, STILL, surroundings()).verdict for _ in range(5)]
    assert verdicts == [Verdict.GO, Verdict.GO, Verdict.HOLD, Verdict.HOLD, Verdict.STOP]


def test_a_goal_is_reached_and_rested_at():
    guard, around = begun(), surroundings()
    goal = SE3(rotation_from_euler_xyz([0.2, -0.1, 0.2]), START.translation + [0.05, 0.02, -0.03])
    for _ in range(150):
        step(guard, goal, around)
    assert np.abs(guard.setpoint.matrix - goal.matrix).max() < 2e-5
    assert guard.at_rest
    assert guard.has_arrived(goal)


@pytest.mark.parametrize(
    ("now_s", "frame_s", "safety", "verdict", "word"),
    [
        (0.051, 0.05, Safety.NORMAL, Verdict.STOP, "state"),
        (0.0, -0.101, Safety.NORMAL, Verdict.HOLD, "frame"),
        (0.0, -0.501, Safety.NORMAL, Verdict.STOP, "frame"),
        (0.0, 0.0, Safety.PROTECTIVE_STOP, Verdict.STOP, "protective"),
        (0.0, 0.0, Safety.EMERGENCY_STOP, Verdict.STOP, "emergency"),
        (float("nan"), 0.0, Safety.NORMAL, Verdict.STOP, "state"),
    ],
)
def test_stale_data_and_safety_stops(now_s, frame_s, safety, verdict, word):
    guard = begun()
    decision = guard.advance(START, state(START, 0.0, safety), surroundings(), now_s, frame_s)
    assert decision.verdict is verdict
    assert word in decision.reason
    assert bool(guard.fault) == (verdict is Verdict.STOP)


def test_an_arm_that_does_not_follow_is_a_fault():
    guard = begun()
    elsewhere = SE3(np.eye(3), START.translation + [0.06, 0, 0])
    assert guard.advance(START, state(elsewhere), surroundings(), 0.0, 0.0).verdict is Verdict.STOP


def test_a_hold_brakes_no_harder_than_allowed():
    guard, around = begun(), surroundings()
    goal = SE3(np.eye(3), START.translation + [0.09, 0, 0])
    for _ in range(25):
        step(guard, goal, around)
    speeds = [guard.speed]
    while guard.speed:
        assert step(guard, None, around).verdict is Verdict.HOLD
        speeds.append(guard.speed)
    most = CONFIG.acceleration_mps2 * CONFIG.control_period_s
    assert speeds[0] > 0.1
    assert (-np.diff(speeds) <= most + EXACT).all()
    assert len(speeds) <= speeds[0] / most + 3


def test_a_hand_that_came_too_near_is_only_left_never_approached():
    guard = begun()
    around = surroundings(hand=START.translation + [[0.08, 0, 0]], advance_m=None)
    for _ in range(50):
        assert (
            step(guard, SE3(np.eye(3), START.translation + [0.02, 0, 0]), around).world_from_gripper
            is not None
        )
        assert around.clearance(guard.setpoint.translation) >= 0.08 - EXACT
    away = SE3(np.eye(3), START.translation - [0.09, 0, 0])
    for _ in range(400):
        step(guard, away, around)
    assert around.clearance(guard.setpoint.translation) > CONFIG.clearance_m


def test_a_hand_in_the_advance_holds_until_it_is_gone():
    guard = begun()
    ahead = START.translation + [[0.0, 0.0, 0.25]]
    goal = SE3(np.eye(3), START.translation + [0.0, 0.0, 0.03])
    decision = step(guard, goal, surroundings(hand=ahead, advance_m=0.3))
    assert decision.verdict is Verdict.HOLD
    assert "way" in decision.reason
    assert step(guard, goal, surroundings(advance_m=0.3)).verdict is Verdict.GO
    assert guard.speed > 0
