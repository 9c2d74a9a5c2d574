-- One row per valid response and metric that it has.
select job_id, benchmark, model, policy, variant, metric, value
from (
    unpivot (select * from {{ ref('stg_scores') }} where is_valid)
    on {{ var('metrics') | join(', ') }}
    into name metric value value
)
where value is not null
