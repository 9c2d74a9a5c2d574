{#- What holds for all rows of a model, as one query that names each fault: dbt's own tests of keys,
    nulls, values and relationships are nodes of their own, and to prepare one takes dbt longer than
    all of them run. `key`: columns that tell rows apart. `present`: others that are never null.
    `values`: those that a column of text may have, by column. `within`: a model that has each row of
    the columns `by`. -#}
{% test well_formed(model, key=[], present=[], values={}, within=none, by=[]) %}
{%- set keys, found = '"' ~ key | join('", "') ~ '"', '"' ~ by | join('", "') ~ '"' %}
with nulls as (
    select
        {%- for column in key + present %}
        count(*) - count("{{ column }}") as "{{ column }}",
        {%- endfor %}
        0 as "nothing"
    from {{ model }}
),

faults as (
    select null_column || ' is null' as fault, n_rows
    from (unpivot nulls on columns(*) into name null_column value n_rows)
    where n_rows > 0
    {%- if key %}
    union all
    select 'not unique: ' || concat_ws('/', {{ keys }}) as fault, count(*) as n_rows
    from {{ model }}
    group by {{ keys }}
    having count(*) > 1
    {%- endif %}
    {%- for column, accepted in values.items() %}
    union all
    select '{{ column }} is ' || "{{ column }}" as fault, count(*) as n_rows
    from {{ model }}
    where
        "{{ column }}" not in (
            {%- for one in accepted %}'{{ one | replace("'", "''") }}'{{ ", " if not loop.last }}{% endfor -%}
        )
    group by "{{ column }}"
    {%- endfor %}
    {%- if within %}
    union all
    select 'not in {{ within.name }}: ' || concat_ws('/', {{ found }}) as fault, count(*) as n_rows
    from {{ model }}
    anti join {{ within }} using ({{ found }})
    group by {{ found }}
    {%- endif %}
)

select * from faults
{% endtest %}
