"""What a verdict speaks of: where was it looked, and at what not."""

from workloads.verdict.result import Durability


def said(durability: Durability) -> str:
    """Return the sentence that every verdict ends with."""
    where = ", ".join(durability.sources) or "no source"
    left = [f"Not read: {'; '.join(durability.not_read)}."] if durability.not_read else []
    if durability.not_audited:
        each = [f"{name} ({count} times)" for name, count in durability.not_audited.items()]
        left.append(f"Not audited: {', '.join(each)}.")
    return " ".join([f"Audited in {where}.", *left])


def counted(durability: Durability) -> str:
    """Return the sums over all kinds of records, as a line."""
    kinds = durability.kinds.values()
    names = ("acknowledged", "present", "lost", "duplicates", "unread")
    return ", ".join(f"{name} {sum(getattr(kind, name) for kind in kinds)}" for name in names)
