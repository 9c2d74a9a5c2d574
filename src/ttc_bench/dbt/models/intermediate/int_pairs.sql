-- Responses beside the baseline's response to the same job. A metric that one side lacks is null
-- on both: means over the pairs are then over the same jobs. The reward of a failed one is 0.
{%- set counted = {} %}
{%- for side in ('v', 'b') %}
{%- for metric in var('metrics') %}
{%- set plain = side ~ '.' ~ metric %}
{%- set reward = 'case when ' ~ side ~ '.is_valid then ' ~ plain ~ ' else 0 end' %}
{%- do counted.update({plain: reward if metric == 'reward' else plain}) %}
{%- endfor %}
{%- endfor %}
select
    v.model,
    v.benchmark,
    v.policy,
    v.variant
    {%- for metric in var('metrics') %},
    {%- set own, base = counted['v.' ~ metric], counted['b.' ~ metric] %}
    case when {{ base }} is not null then {{ own }} end as own_{{ metric }},
    case when {{ own }} is not null then {{ base }} end as base_{{ metric }}
    {%- endfor %}
from {{ ref('stg_scores') }} as v
inner join {{ ref('stg_scores') }} as b
    on v.job_id = b.job_id and v.model = b.model and v.benchmark = b.benchmark
where
    v.policy <> 'baseline'
    and b.policy = 'baseline' and b.variant = 'greedy'
