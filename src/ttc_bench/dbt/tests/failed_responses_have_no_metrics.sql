-- A failure is never an answer: no metric may count what failed.
select job_id, policy, variant
from {{ ref('stg_scores') }}
where
    not is_valid
    and coalesce({{ var('metrics') | join(', ') }}) is not null
