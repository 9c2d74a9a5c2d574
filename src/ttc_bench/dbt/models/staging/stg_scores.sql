-- One row per response: its identity, whether it is valid, and the metrics that are compared.
-- Failed responses have none of these, which a test holds the scores to.
select
    run_id,
    config,
    job_id,
    benchmark,
    task,
    difficulty,
    model,
    engine,
    policy,
    variant,
    status = 'ok' as is_valid,
    status,
    error_type,
    error_message,
    replayed
    {%- for metric in var('metrics') %},
    {{ metric }}::double as {{ metric }}
    {%- endfor %}
from {{ source('runs', 'scores') }}
