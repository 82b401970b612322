"""Pages of the docs whose tables benchmarks write."""

END = "<!-- end -->"


def replaced(page: str, begin: str, lines: list[str]) -> str:
    """Return a page with these lines between the comment `begin` and the end, in place of others.

    Raises `ValueError` if the page has no place for them.
    """
    before, found, rest = page.partition(begin)
    _, end, after = rest.partition(END)
    if not end:
        raise ValueError(f"it has no {begin} and {END} after it")
    return f"{before}{found}\n\n{chr(10).join(lines)}\n\n{end}{after}"
