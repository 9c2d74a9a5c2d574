-- One row per point of a scaling curve, as the statistics in Python found it.
select
    model,
    benchmark,
    pool,
    curve,
    k::bigint as k,
    value::double as value,
    low::double as low,
    high::double as high,
    simulation_error::double as simulation_error,
    n_jobs::bigint as n_jobs,
    n_samples::bigint as n_samples
from {{ source('runs', 'scaling_curves') }}
