{#- dbt's own test of this name is one query for each column; a list of columns takes one for all. -#}
{% test not_null(model, column_name=none, columns=()) %}
with nulls as (
    select
        {% for column in columns or [column_name] %}
        count(*) - count({{ column }}) as "{{ column }}"{{ "," if not loop.last }}
        {% endfor %}
    from {{ model }}
)

select * from (unpivot nulls on columns(*) into name null_column value n_rows)
where n_rows > 0
{% endtest %}
