"""A history as a row of bytes: each chooses an end and an action, or an argument of it."""

from __future__ import annotations

from typing import Final

from tests.model.books import Rules
from tests.model.owners import Plan
from tests.model.world import World


class EndOfHistoryError(Exception):
    """There are no more choices."""


class Choices:
    """The bytes of a history, one after the other."""

    def __init__(self, data: bytes) -> None:
        self._data: Final = data
        self._at = 0

    def below(self, most: int) -> int:
        """Choose a number from 0 to ``most`` - 1."""
        if self._at == len(self._data):
            raise EndOfHistoryError
        self._at += 1
        return self._data[self._at - 1] % most

    def is_rare(self, odds: int) -> bool:
        """Choose something that happens once in ``odds`` times; zeros choose against it."""
        return self.below(odds) == odds - 1


def draw_plan(choices: Choices, is_wilful: bool, depth: int = 3) -> Plan:
    """Choose what a handler does."""
    plan = Plan(size=choices.below(13))
    sort = choices.below(8)
    if sort in {1, 2}:
        plan.parts = 1 + choices.below(12)
    elif sort in {3, 4} and depth:
        plan.asks = draw_plan(choices, is_wilful, depth - 1)
    elif sort == 5:
        plan.fails = True
    elif sort == 6:
        plan.reads = choices.below(3)
    elif sort == 7:
        plan.hangs = is_wilful
    return plan


def draw_action(world: World, choices: Choices) -> None:
    """Choose what happens next."""
    action = choices.below(32)
    side = action % 2
    action //= 2
    end = world.ends[side]
    if action <= 2:
        world.write(side, 1 + choices.below(16))
    elif action <= 5:
        world.read(side, 1 + choices.below(16))
    elif action == 6:
        world.run_handler(side, choices.below(4))
    elif action == 7:
        world.run_asker(side, choices.below(4))
    elif action in {8, 9}:
        _draw_request(world, side, choices)
    elif action == 10:
        for _ in range(1 + choices.below(5)):
            end.push(choices.below(13))
    elif action == 11:
        world.take_plain(side)
    elif action == 12:
        open_ones = list(end.asked.values())
        if open_ones and choices.is_rare(3):
            end.cancel(open_ones[choices.below(len(open_ones))])
    elif action == 13:
        world.tick()
    elif action == 14:
        for at in range(4):
            world.run_handler(side, at)
            world.run_asker(side, at)
    elif choices.is_rare(4):
        _draw_rare(world, side, choices)


def _draw_request(world: World, side: int, choices: Choices) -> None:
    wilful = world.is_wilful
    if not world.ends[side].has_room:
        return
    plan = draw_plan(choices, wilful)
    sort = choices.below(8)
    parts = 1 + choices.below(10) if sort in {1, 2, 3} else 0
    world.ask(
        side,
        plan,
        size=choices.below(13),
        parts=parts,
        part_size=choices.below(13) if parts else 0,
        timeout=1 + choices.below(4) if sort == 4 else None,
        dawdles=wilful and choices.is_rare(8),
        stops=choices.below(3) if wilful and choices.is_rare(4) else None,
    )


def _draw_rare(world: World, side: int, choices: Choices) -> None:
    sort = choices.below(8)
    if sort in {1, 2} and world.may_leave:
        world.ends[side].shut_down()
    elif sort == 3 and world.may_leave:
        world.ends[side].end_output()
    elif sort == 4 and choices.is_rare(4):
        world.cut()
    elif sort >= 5 and world.is_wilful:
        world.takes_plain[side] = not world.takes_plain[side]


def run_history(data: bytes, rules: Rules, *, may_be_wilful: bool = True) -> World:
    """Run one history, and raise AssertionError for what must not be."""
    choices = Choices(data)
    world = World(rules)
    leaves = 0
    try:
        world.is_wilful = choices.is_rare(2) and may_be_wilful
        world.may_leave = choices.is_rare(2)
        leaves = choices.below(3)
        while True:
            draw_action(world, choices)
            world.check()
            world.bury()
    except EndOfHistoryError:
        pass
    world.settle()
    world.check_rest()
    for side in (0, 1):
        if leaves != 1 + side:
            world.ends[side].shut_down()
    for _ in range(2 * rules.drain_timeout + 2):
        world.settle()
        if world.is_wilful:
            world.tick()
    world.settle()
    world.check_end()
    return world
