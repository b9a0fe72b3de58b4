"""The trip as an all-day event (RFC 5545), and its cancellation (RFC 5546, section 3.2.5)."""

from datetime import datetime, timedelta

from reservations.domain.reservation import Offer

_PRODUCT = "-//Reservations API//mails//EN"


def event(
    *,
    uid: str,
    summary: str,
    description: str,
    offer: Offer,
    organizer: str,
    issuer: str | None,
    at: datetime,
    cancelled: bool,
) -> bytes:
    """An event from the first to the last day. It has no link: calendars are shared.

    `uid` is the same in both, so that the second takes the first out of a calendar.
    """
    from icalendar import Calendar, Event, vCalAddress

    calendar = Calendar()
    calendar.add("prodid", _PRODUCT)
    calendar.add("version", "2.0")
    calendar.add("method", "CANCEL" if cancelled else "PUBLISH")
    trip = Event()
    trip.add("uid", uid)
    trip.add("dtstamp", at)
    trip.add("sequence", 1 if cancelled else 0)
    trip.add("status", "CANCELLED" if cancelled else "CONFIRMED")
    trip.add("dtstart", offer.starts_on)
    trip.add("dtend", offer.ends_on + timedelta(days=1))  # the first day without it
    trip.add("transp", "TRANSPARENT")
    trip.add("summary", summary)
    trip.add("description", description)
    host = vCalAddress(f"mailto:{organizer}")
    if issuer:
        host.params["cn"] = issuer
    trip.add("organizer", host)
    calendar.add_component(trip)
    content: bytes = calendar.to_ical()
    return content
