"""Which model answers a flight: a keyed hash of the flight's id, the same in every process and on every day."""

from hashlib import blake2b

CHAMPION, CHALLENGER = "champion", "challenger"


def hash_to_unit_interval(salt: str, flight_id: str) -> float:
    """A number in [0, 1), evenly spread over flights.

    Each experiment has its own salt, so that two experiments split the flights independently of each other.
    """
    digest = blake2b(flight_id.encode(), digest_size=8, key=salt.encode()[:64]).digest()
    return (int.from_bytes(digest) >> 11) / (1 << 53)  # 53 bits: what a float holds exactly


def arm(salt: str, share: float, flight_id: str) -> str:
    """The challenger's arm for `share` of the flights, and always for the same ones."""
    return CHALLENGER if hash_to_unit_interval(salt, flight_id) < share else CHAMPION


def propensity(share: float, arm_: str) -> float:
    """The probability that a flight is assigned to this arm; 1 in shadow, where the champion answers all."""
    return share if arm_ == CHALLENGER else 1 - share
