{#- What holds for all rows of a model, as one query that names each fault: dbt's own tests of keys,
    nulls, values and relationships are nodes of their own, and to prepare one takes dbt longer than
    all of them run. -#}
{% test well_formed(model, key=[], present=[], values={}, within=none, by=[]) %}
with nulls as (
    select
        {%- for column in key + present %}
        count(*) - count({{ column }}) as "{{ column }}"{{ "," if not loop.last }}
        {%- endfor %}
    from {{ model }}
),

faults as (
    select null_column || ' is null' as fault, n_rows
    from (unpivot nulls on columns(*) into name null_column value n_rows)
    where n_rows > 0
    {%- if key %}
    union all
    select 'not unique: ' || concat_ws('/', {{ key | join(', ') }}) as fault, count(*) as n_rows
    from {{ model }}
    group by {{ key | join(', ') }}
    having count(*) > 1
    {%- endif %}
    {%- for column, accepted in values.items() %}
    union all
    select '{{ column }} is ' || {{ column }} as fault, count(*) as n_rows
    from {{ model }}
    where {{ column }} not in ('{{ accepted | join("', '") }}')
    group by {{ column }}
    {%- endfor %}
    {%- if within %}
    union all
    select 'not in {{ within.name }}: ' || concat_ws('/', {{ by | join(', ') }}) as fault, count(*) as n_rows
    from {{ model }}
    anti join {{ within }} using ({{ by | join(', ') }})
    group by {{ by | join(', ') }}
    {%- endif %}
)

select * from faults
{% endtest %}
