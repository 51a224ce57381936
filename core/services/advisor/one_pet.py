"""What the record of one pet says, in words; what it does not record is said so."""

from collections.abc import Callable, Sequence

from core.models.pets import Gender, MedicalInfo, Pet, PetStatus, Size, Species

_SINGULARS = {**{species: species.value.lower() for species in Species}, Species.OTHER: ""}
_STATUSES = {
    PetStatus.AVAILABLE: "is available",
    PetStatus.PENDING: "is reserved by an order",
    PetStatus.ADOPTED: "has been sold or adopted",
    PetStatus.NOT_AVAILABLE: "is not for sale",
}


def line(pet: Pet) -> str:
    """A pet in a list, with its price and id."""
    kind = " ".join(filter(None, [pet.breed, _SINGULARS[pet.species]]))
    traits = [kind or "pet", _age(pet.age_months)]
    if pet.size is not None:
        traits.append({Size.SMALL: "small", Size.MEDIUM: "medium", Size.LARGE: "large"}[pet.size])
    if pet.gender is not Gender.UNKNOWN:
        traits.append(pet.gender.value.lower())
    company = [
        name for good, name in ((pet.good_with_kids, "children"), (pet.good_with_dogs, "dogs")) if good
    ]
    good = f"; good with {' and '.join(company)}" if company else ""
    return f"- {pet.name} ({', '.join(traits)}): {pet.price:.2f} {pet.currency.value}{good}; id {pet.id}"


def _age(months: int) -> str:
    if months < 24:
        return "1 month old" if months == 1 else f"{months} months old"
    return f"{months // 12} years old"


def details(pet: Pet) -> str:
    """All that is known of a pet."""
    lines = [f"{line(pet).removeprefix('- ')}. {pet.name} {_STATUSES[pet.status]}."]
    if pet.color:
        lines.append(f"Colour: {pet.color}.")
    if pet.description:
        lines.append(pet.description)
    health = pet.medical_info
    if health is not None:
        known = [
            name
            for value, name in (
                (health.vaccinated, "vaccinated"),
                (health.spayed_neutered, "neutered"),
                (health.microchipped, "microchipped"),
                (health.special_needs, "in need of special care"),
            )
            if value
        ]
        if known:
            lines.append(f"{pet.name} is {', '.join(known)}.")
        if health.health_notes:
            lines.append(health.health_notes)
    return " ".join(lines)


def told(pet: Pet, asked: Sequence[str]) -> str:
    """What was asked of a pet (see `Wish`), then the pet."""
    facts = {fact: fact_of(pet) for fact, fact_of in _FACTS.items() if fact in asked}
    company = [name for name in asked if name not in _FACTS]
    return " ".join([*facts.values(), *_company(pet, company), f"\n{line(pet)}"]).replace(" \n", "\n")


def _company(pet: Pet, asked: Sequence[str]) -> list[str]:
    """Whether it gets along with those who are asked about, and what else is recorded where that is not."""
    recorded = {"dogs": pet.good_with_dogs, "children": pet.good_with_kids}
    said = [
        f"{pet.name} {'gets' if recorded[name] else 'does not get'} along with {name}."
        for name in asked
        if recorded.get(name) is not None
    ]
    unknown = [_OTHERS.get(name, name) for name in asked if recorded.get(name) is None]
    if unknown:
        others = "".join(
            f"; {name}: {'yes' if good else 'no'}" for name, good in recorded.items() if good is not None
        )
        about = " and ".join(unknown)
        said.append(f"Nothing is recorded of how {pet.name} gets along with {about}{others}. Ask our staff.")
    return said


def _is(pet: Pet, what: str, value: bool | None) -> str:
    if value is None:
        return f"It is not recorded whether {pet.name} is {what}."
    return f"{pet.name} is {what}." if value else f"{pet.name} is not {what}."


def _recorded(pet: Pet, what: str, value: str | None) -> str:
    return f"The {what} of {pet.name} is not recorded." if not value else f"{pet.name}'s {what}: {value}."


def _health(pet: Pet) -> MedicalInfo:
    return pet.medical_info or MedicalInfo()


_OTHERS = {"others": "other animals"}
_FACTS: dict[str, Callable[[Pet], str]] = {
    "age": lambda pet: f"{pet.name} is {_age(pet.age_months)}.",
    "price": lambda pet: f"{pet.name} costs {pet.price:.2f} {pet.currency.value}.",
    "size": lambda pet: _recorded(pet, "size", pet.size and pet.size.value.lower()),
    "sex": lambda pet: _recorded(
        pet, "sex", None if pet.gender is Gender.UNKNOWN else pet.gender.value.lower()
    ),
    "colour": lambda pet: _recorded(pet, "colour", pet.color),
    "breed": lambda pet: _recorded(pet, "breed", pet.breed),
    "status": lambda pet: f"{pet.name} {_STATUSES[pet.status]}.",
    "vaccinated": lambda pet: _is(pet, "vaccinated", _health(pet).vaccinated),
    "neutered": lambda pet: _is(pet, "neutered", _health(pet).spayed_neutered),
    "microchipped": lambda pet: _is(pet, "microchipped", _health(pet).microchipped),
    "special_needs": lambda pet: _is(pet, "in need of special care", _health(pet).special_needs),
    "quiet": lambda pet: f"How loud {pet.name} is is not recorded: ask our staff.",
}
