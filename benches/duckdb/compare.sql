-- Bronze to silver, fact and top as one would write it by hand for DuckDB.
-- run.py fills in {{…}}; statements are parted by lines of `---`.

-- The newest capture of each post. Captures are few, so the winners are found on narrow
-- columns; only their positions go through the window.
CREATE TEMP TABLE captures AS
SELECT
    regexp_extract(filename, 'dt=([0-9-]+)', 1) AS dt,
    row_number() OVER () AS position,
    * EXCLUDE (filename)
FROM read_json(
    {{files}},
    format = 'newline_delimited',
    compression = 'zstd',
    filename = true,
    maximum_object_size = 67108864,
    columns = {
        platform: 'VARCHAR', source: 'VARCHAR', native_id: 'VARCHAR', post_type: 'VARCHAR',
        channel: 'VARCHAR', created_at: 'TIMESTAMP_MS', title: 'VARCHAR', body: 'VARCHAR',
        url: 'VARCHAR', score: 'BIGINT', num_comments: 'BIGINT', rating: 'DOUBLE',
        parent_id: 'VARCHAR', link_title: 'VARCHAR', crosspost_parent: 'VARCHAR',
        fetched_at: 'TIMESTAMP_MS', locator: 'VARCHAR', seq: 'BIGINT'
    }
);
---
-- HTML entities once: `&amp;` last, so that `&amp;lt;` stays `&lt;`. The entities that the
-- sample holds; verify says so if the input has others.
CREATE TEMP MACRO unescaped(s) AS
CASE WHEN contains(s, '&') THEN
    replace(replace(replace(replace(replace(replace(replace(s,
        '&lt;', '<'), '&gt;', '>'), '&quot;', '"'), '&#x27;', ''''), '&#39;', ''''), '&nbsp;', chr(160)), '&amp;', '&')
ELSE s END;
---
-- rx_norm: lower case, one kind of apostrophe, single spaces, no invisible characters.
-- replace() costs a twentieth of regexp_replace() and translate(), which are kept for the
-- few texts that need them.
CREATE TEMP MACRO single_spaced(s) AS
CASE WHEN contains(s, '  ') THEN regexp_replace(s, ' +', ' ', 'g') ELSE s END;
---
CREATE TEMP MACRO rarely(s) AS
CASE WHEN regexp_matches(s, '[‛′ʼ´＇\t\x0B\f\r\x{85}\x{1680}\x{2000}-\x{200F}\x{2028}-\x{202F}\x{205F}-\x{206F}\x{3000}\x{AD}\x{34F}\x{61C}\x{180E}\x{FEFF}]')
THEN regexp_replace(regexp_replace(regexp_replace(s,
    '[‛′ʼ´＇]', '''', 'g'),
    '[\x{AD}\x{34F}\x{61C}\x{180E}\x{200B}-\x{200F}\x{202A}-\x{202E}\x{2060}-\x{206F}\x{FEFF}]', '', 'g'),
    '[\s\x0B\x{85}\p{Z}]', ' ', 'g')
ELSE s END;
---
CREATE TEMP MACRO normed(s) AS
trim(single_spaced(replace(rarely(
    replace(replace(replace(replace(lower(s), '’', ''''), '‘', ''''), chr(10), ' '), chr(160), ' ')), '  ', ' ')), ' ');
---
-- The prepared text of phrases.py: words between spaces, `;` between sentences. A point or
-- comma between digits stays inside its word, written `_`.
CREATE TEMP MACRO plain(n) AS
' ' || CASE WHEN strlen(n) = length(n) THEN regexp_replace(n, '[^a-z0-9.,!?;''$% ]', ' ', 'g')
ELSE regexp_replace(n, '[^\p{L}\p{N}.,!?;''$€£¥%]', ' ', 'g') END || ' ';
---
CREATE TEMP MACRO joined(s) AS
CASE WHEN regexp_matches(s, '[0-9][.,][0-9]') THEN regexp_replace(s, '([0-9])[.,]([0-9])', '\1_\2', 'g') ELSE s END;
---
CREATE TEMP MACRO prepared(n) AS
replace(replace(
    replace(replace(replace(replace(replace(replace(replace(
        joined(plain(n)), ';', ' ; '), ',', ' '), '.', ' ; '), '!', ' ; '), '?', ' ; '), '$', ' $ '), '%', ' % '),
    ' ''', ' '), ''' ', ' ');
---
CREATE TEMP TABLE silver AS
WITH ranked AS (
    SELECT position, row_number() OVER (
        PARTITION BY dt, platform, native_id ORDER BY fetched_at DESC, source DESC, locator DESC, seq DESC
    ) AS place
    FROM captures
    -- Only what was captured more than once needs a rank.
    WHERE (dt, platform, native_id) IN (
        SELECT (dt, platform, native_id) FROM captures GROUP BY dt, platform, native_id HAVING count(*) > 1
    )
),
texts AS (
    SELECT
        * EXCLUDE (title, body),
        nullif(unescaped(title), '') AS title,
        CASE WHEN body NOT IN ('[deleted]', '[removed]', '') THEN unescaped(body) END AS body
    FROM captures
    WHERE post_type <> 'moved' AND position NOT IN (SELECT position FROM ranked WHERE place > 1)
),
spaced AS (
    SELECT
        *,
        prepared(normed(concat_ws(' . ', title, body))) AS t,
        CASE WHEN link_title IS NULL THEN '' ELSE prepared(normed(link_title)) END AS l
    FROM texts
),
branded AS (
    SELECT *, list_filter({{brands}}, lambda k: k IS NOT NULL) AS brands
    FROM (SELECT *, CASE WHEN l = '' THEN t ELSE t || '; ' || l END AS b FROM spaced)
),
classified AS (
    SELECT *, list_filter({{issues}}, lambda k: k IS NOT NULL) AS issues
    FROM branded
    WHERE len(brands) > 0
)
SELECT
    dt,
    platform || ':' || native_id AS post_id,
    platform, native_id, source, post_type, channel,
    brands[1] AS brand,
    brands[2:] AS also_brands,
    created_at, title, body,
    concat_ws(chr(10) || chr(10), title, body) AS text,
    url, score, num_comments, rating,
    platform || ':' || parent_id AS parent_id,
    platform || ':' || crosspost_parent AS duplicate_of,
    coalesce(issues[1], '{{fallback}}') AS issue_type,
    {{rule}} AS issue_rule,
    issues[2:] AS also_matched,
    fetched_at AS score_captured_at,
    -- DuckDB has no BLAKE3: another hash of the same two texts.
    md5(coalesce(length(title) || ':' || title, '-') || coalesce('+' || body, '-')) AS content_hash
FROM classified;
---
COPY (SELECT * FROM silver) TO '{{out}}/silver_posts' {{format}};
---
COPY (
    SELECT
        dt, brand, platform, coalesce(channel, '') AS channel, issue_type,
        count(*) AS mentions,
        count(*) FILTER (WHERE post_type = 'post') AS posts,
        count(*) FILTER (WHERE post_type = 'comment') AS comments,
        coalesce(sum(score), 0)::BIGINT AS score_sum,
        coalesce(sum(num_comments), 0)::BIGINT AS num_comments_sum,
        count(DISTINCT normed(title)) AS unique_titles
    FROM silver
    GROUP BY ALL
) TO '{{out}}/fact_issue_daily' {{format}};
---
COPY (
    SELECT
        dt, brand, issue_type,
        row_number() OVER best AS rank,
        post_id, platform, channel, post_type, title, url, created_at, score, num_comments,
        round(ln(reach), 2) AS engagement,
        score_captured_at,
        score_captured_at < created_at + INTERVAL 36 HOUR AS score_moving
    FROM (
        SELECT *, (1 + greatest(coalesce(score, 0), 0)) * (1 + coalesce(num_comments, 0)) AS reach FROM silver
    )
    WINDOW best AS (PARTITION BY dt, brand, issue_type ORDER BY reach DESC, post_id)
    QUALIFY rank <= 10
) TO '{{out}}/top_issue_posts' {{format}};
