"""What must hold of messages: Stripe's, events and what follows them, mails, repeated calls."""

from shop.core import sessions
from shop.core.i18n import lazy_gettext
from shop.doctor.checks import Check

_WAITS = """
    EXISTS (SELECT FROM event e LEFT JOIN event_pending q ON q.event_id = e.id
            LEFT JOIN delivery d ON d.event_id = e.id AND d.reaction = '{reaction}'
            WHERE {event} AND (q.event_id IS NOT NULL OR d.state IN ('due', 'dead')))
"""
_LIFETIMES = " ".join(
    f"WHEN '{audience}' THEN {lifetime.total_seconds():.0f}"
    for audience, lifetime in sessions.LIFETIME.items()
)

CHECKS = (
    Check(
        id="webhooks",
        invariant="I15",
        title=lazy_gettext("Every webhook of Stripe was processed, or waits for its next attempt"),
        why=lazy_gettext("A payment that Stripe told us of would never be counted."),
        todo=lazy_gettext("`flask shop reconcile --days 3` finds what the webhook was about."),
        sql="""
        WITH waiting AS (
            SELECT (e.payload ->> 'delivery_id')::bigint AS id
            FROM delivery d JOIN event e ON e.id = d.event_id
            WHERE d.reaction = 'apply_webhook' AND d.state IN ('due', 'dead')
            UNION ALL
            SELECT (e.payload ->> 'delivery_id')::bigint
            FROM event_pending q JOIN event e ON e.id = q.event_id
            WHERE e.type = 'WebhookReceived'
        )
        SELECT w.id, w.stripe_event_id AS name,
            format('%s came at %s and nothing was done', w.type,
                   to_char(w.received_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI')) AS fact
        FROM webhook_delivery w LEFT JOIN waiting ON waiting.id = w.id
        WHERE w.applied_at IS NULL AND waiting.id IS NULL
            AND w.received_at < :now - interval '15 minutes'
        """,
    ),
    Check(
        id="events-waiting",
        invariant="I16",
        title=lazy_gettext("No event waits for the relay for longer than a minute"),
        why=lazy_gettext(
            "No email is sent, no refund is requested and no page is updated until then."
        ),
        todo=lazy_gettext("See whether `python -m shop relay` runs and knows every type of event."),
        sql="""
        SELECT e.id, e.type AS name, format('waits for %s s',
            floor(extract(epoch FROM :now - e.occurred_at))) AS fact
        FROM event_pending q JOIN event e ON e.id = q.event_id
        WHERE e.occurred_at < :now - interval '60 seconds'
        """,
    ),
    Check(
        id="jobs-waiting",
        invariant="I16",
        title=lazy_gettext("No job that is due waits for a worker for long"),
        why=lazy_gettext("Something that should have followed an event has not happened."),
        todo=lazy_gettext("See whether `python -m shop worker` runs and Redis answers."),
        about="job",
        sql="""
        SELECT id, reaction AS name, format('due since %s, tried %s times',
            to_char(due_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI'), attempts) AS fact
        FROM delivery
        WHERE state = 'due' AND due_at < :now - interval '15 minutes'
            AND coalesce(lease_until, :now) <= :now
        """,
    ),
    Check(
        id="jobs-dead",
        invariant="I16",
        title=lazy_gettext("No job failed for good"),
        why=lazy_gettext("An email, a refund or an image is missing until somebody retries."),
        todo=lazy_gettext("Read the error under Jobs, fix its cause, and press “Try again”."),
        about="job",
        sql="""
        SELECT id, reaction AS name,
            format('failed %s times: %s', attempts, coalesce(error, 'no reason')) AS fact
        FROM delivery WHERE state NOT IN ('due', 'done')
        """,
    ),
    Check(
        id="receipts",
        invariant="I17",
        title=lazy_gettext("Every paid order has its receipt, written or about to be"),
        why=lazy_gettext("The customer does not know whether the order was taken."),
        todo=lazy_gettext(
            "See under Jobs whether “send receipt” failed; otherwise write to the customer."
        ),
        about="order",
        sql=f"""
        SELECT o.id, o.number AS name, 'paid, and no receipt was written' AS fact
        FROM "order" o LEFT JOIN mail_message m ON m.key = 'receipt:' || o.id
        WHERE o.paid_at IS NOT NULL AND m.id IS NULL AND o.placed_at >= :since
            AND NOT {_WAITS.format(reaction="send_receipt",
                                   event="e.order_id = o.id AND e.type = 'OrderPaid'")}
        """,
    ),
    Check(
        id="parcel-mails",
        invariant="I17",
        title=lazy_gettext(
            "The customer was notified of every shipment, unless staff chose not to"
        ),
        why=lazy_gettext("Nobody waits at home for a shipment that they do not know of."),
        todo=lazy_gettext(
            "See under Jobs whether “send shipped” failed; otherwise write to the customer."
        ),
        about="order",
        sql=f"""
        SELECT o.id, o.number AS name, format('parcel %s, and no mail was written', f.id) AS fact
        FROM fulfilment f JOIN "order" o ON o.id = f.order_id
        LEFT JOIN mail_message m ON m.key = 'shipped:' || f.id
        WHERE m.id IS NULL AND o.placed_at >= :since
            AND NOT EXISTS (
                SELECT FROM event e WHERE e.order_id = o.id AND e.type = 'OrderShipped'
                    AND (e.payload ->> 'fulfilment_id')::bigint = f.id
                    AND e.payload ->> 'notify' = 'false')
            AND NOT {_WAITS.format(reaction="send_shipped", event='''e.order_id = o.id
                AND e.type = 'OrderShipped'
                AND (e.payload ->> 'fulfilment_id')::bigint = f.id''')}
        """,
    ),
    Check(
        id="mails",
        invariant="I17",
        title=lazy_gettext("Every email was sent, or waits for its next attempt"),
        why=lazy_gettext("It was written and nobody will send it."),
        todo=lazy_gettext("Send it again under Emails."),
        about="mail",
        sql="""
        WITH waiting AS (
            SELECT (e.payload ->> 'message_id')::bigint AS id
            FROM delivery d JOIN event e ON e.id = d.event_id
            WHERE d.reaction = 'deliver_mail' AND d.state IN ('due', 'dead')
            UNION ALL
            SELECT (e.payload ->> 'message_id')::bigint
            FROM event_pending q JOIN event e ON e.id = q.event_id WHERE e.type = 'MailQueued'
        )
        SELECT m.id, m.subject AS name, format('%s, and no job will send it', m.state) AS fact
        FROM mail_message m LEFT JOIN waiting ON waiting.id = m.id
        WHERE m.state NOT IN ('sent', 'kept') AND waiting.id IS NULL
            AND m.created_at < :now - interval '15 minutes'
        """,
    ),
    Check(
        id="idempotency",
        invariant="I18",
        title=lazy_gettext("Every repeated call has one request and one whole answer"),
        why=lazy_gettext(
            "A program that repeats a call must get the same answer, and order once."
        ),
        todo=lazy_gettext("Remove the key; the program will ask again."),
        sql="""
        SELECT NULL::bigint AS id, scope || ' ' || key AS name,
            format('status %s, answer %s', coalesce(status::text, 'missing'),
                   CASE WHEN body IS NULL THEN 'missing' ELSE 'kept' END) AS fact
        FROM idempotency_key
        WHERE (status IS NULL) <> (body IS NULL) OR request_hash !~ '^[0-9a-f]{64}$'
        UNION ALL
        SELECT NULL, scope || ' ' || key, format('%s rows', count(*))
        FROM idempotency_key GROUP BY scope, key HAVING count(*) > 1
        """,
    ),
    Check(
        id="sign-ins",
        invariant="I25",
        title=lazy_gettext("No sign-in lasts longer than it may"),
        why=lazy_gettext("A stolen cookie must become useless."),
        todo=lazy_gettext("End the person's sign-ins by a new password."),
        sql=f"""
        SELECT id, format('%s %s', audience, subject_id) AS name, format('from %s until %s',
            to_char(started_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI'),
            to_char(expires_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI')) AS fact
        FROM sign_in
        WHERE expires_at > started_at + make_interval(secs => CASE audience {_LIFETIMES}
            ELSE 0 END)
        """,
    ),
)  # fmt: skip
