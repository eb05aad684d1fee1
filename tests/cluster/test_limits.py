from serve_app.cluster.limits import Part, Size, parts


def _by_name(size: Size) -> dict[str, Part]:
    return {part.name: part for part in parts(size)}


def test_what_is_closest_to_its_limit_comes_first() -> None:
    used = [part.used for part in parts(Size(100_000, 9_000, 9_000, 1))]
    assert used == sorted(used, reverse=True)
    assert used[0] > 1


def test_a_small_fleet_has_no_part_near_its_limit() -> None:
    assert parts(Size(200, 20, 20, 1))[0].used < 0.2


def test_ten_thousand_v100s_are_more_nodes_than_are_known_to_hold_unless_a_node_has_several() -> None:
    assert _by_name(Size(100_000, 10_000, 10_000, 1))["head: GPU nodes"].used > 1
    assert _by_name(Size(100_000, 10_000, 10_000, 8))["head: GPU nodes"].used < 1
    assert parts(Size(100_000, 10_000, 10_000, 8))[0].name == "controller: reports"


def test_routers_are_two_at_least_and_grow_with_the_requests() -> None:
    assert _by_name(Size(1, 1, 1, 1))["router: replicas"].needed == 2
    assert _by_name(Size(1_000, 1, 1, 1))["router: replicas"].needed == 5
    assert _by_name(Size(1_000, 1, 1, 1))["router: replicas"].used == 0
