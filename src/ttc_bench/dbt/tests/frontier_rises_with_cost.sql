-- Along the frontier a dearer variant is strictly better: else it would be dominated.
with points as (
    select distinct model, benchmark, level, cost_metric, cost, quality
    from {{ ref('frontier') }}
    where on_frontier
)

select *
from points
qualify quality <= lag(quality) over (
    partition by model, benchmark, level, cost_metric order by cost
)
