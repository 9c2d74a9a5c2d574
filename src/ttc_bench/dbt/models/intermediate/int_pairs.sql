-- Valid responses beside the baseline's valid response to the same job. A metric that one side
-- lacks is null on both: means over the pairs are then over the same jobs.
select
    v.model,
    v.benchmark,
    v.policy,
    v.variant
    {%- for metric in var('metrics') %},
    case when b.{{ metric }} is not null then v.{{ metric }} end as own_{{ metric }},
    case when v.{{ metric }} is not null then b.{{ metric }} end as base_{{ metric }}
    {%- endfor %}
from {{ ref('stg_scores') }} as v
inner join {{ ref('stg_scores') }} as b
    on v.job_id = b.job_id and v.model = b.model and v.benchmark = b.benchmark
where
    v.policy <> 'baseline' and v.is_valid
    and b.policy = 'baseline' and b.variant = 'greedy' and b.is_valid
