"""Who answers a flight: sticky, keyed, the same in every process and on every day."""

from hashlib import blake2b

CHAMPION, CHALLENGER = "champion", "challenger"


def hash_to_unit_interval(salt: str, flight_id: str) -> float:
    """A number in [0, 1), evenly spread over flights.

    Each experiment has a salt of its own, so that the flights of one challenger are a fresh draw for the next.
    """
    digest = blake2b(flight_id.encode(), digest_size=8, key=salt.encode()[:64]).digest()
    return (int.from_bytes(digest) >> 11) / (1 << 53)  # 53 bits: what a float holds exactly


def arm(salt: str, share: float, flight_id: str) -> str:
    """The challenger's arm for `share` of the flights: always the same ones."""
    return CHALLENGER if hash_to_unit_interval(salt, flight_id) < share else CHAMPION


def propensity(share: float, arm_: str) -> float:
    """The chance that a flight had to come into its arm; 1 in shadow, where the champion answers all."""
    return share if arm_ == CHALLENGER else 1 - share
