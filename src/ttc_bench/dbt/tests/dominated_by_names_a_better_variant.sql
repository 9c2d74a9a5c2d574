-- Every dominated variant is dominated by one that is there, as good or better, and no dearer.
select f.*
from {{ ref('frontier') }} as f
left join {{ ref('frontier') }} as d
    on
        f.model = d.model
        and f.benchmark = d.benchmark
        and f.level = d.level
        and f.cost_metric = d.cost_metric
        and f.dominated_by = d.policy || '.' || d.variant
where
    f.dominated_by is not null
    and (d.policy is null or d.quality < f.quality or d.cost > f.cost)
