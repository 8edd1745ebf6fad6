"""What the store keeps of card and account numbers."""


def masked(number: str) -> str:
    """A card or account number with all but the last four characters hidden."""
    return "X" * max(len(number) - 4, 0) + number[-4:]
