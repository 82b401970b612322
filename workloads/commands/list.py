"""`list`: the scenarios, with their parameters."""

from workloads.scenarios import SCENARIOS


def list_scenarios() -> int:
    """List the scenarios."""
    for scenario in SCENARIOS.values():
        print(f"{scenario.name:<12} {scenario.summary}")
        for name, field in type(scenario.parameters_of("quick")).model_fields.items():
            values = {p: getattr(scenario.parameters_of(p), name) for p in scenario.profiles}
            defaults = ", ".join(f"{p} {value}" for p, value in values.items())
            if len(set(map(str, values.values()))) == 1:
                defaults = str(values["quick"])
            print(f"{'':<12}   --set {name}=…  {field.description} ({defaults})")
    return 0
