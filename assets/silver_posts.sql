-- One row a post that names a brand: the newest capture, cleaned, with one issue type.
--
-- Rows with a reason in `rx_drop` are counted by that reason and left out, so that
-- rows in = rows out + superseded + moved + off_brand + parent_unknown, exactly.
WITH captures AS (
    SELECT
        dt, platform, native_id, source, post_type, channel, created_at, url,
        score, num_comments, rating, parent_id, link_title, crosspost_parent, fetched_at,
        nullif(rx_unescape(title), '') AS title,
        -- What Reddit leaves in place of a text that is gone is not a text.
        CASE WHEN body IN ('[deleted]', '[removed]', '') THEN NULL ELSE rx_unescape(body) END AS body,
        row_number() OVER (
            PARTITION BY dt, platform, native_id
            ORDER BY fetched_at DESC, source DESC, locator DESC, seq DESC
        ) AS capture_rank
    FROM raw_posts
),
texts AS (
    SELECT
        *,
        -- " . " keeps a phrase from matching across the end of the title.
        rx_norm(concat_ws(' . ', title, body)) AS own_text,
        rx_norm(concat_ws(' . ', title, body, link_title)) AS brand_text
    FROM captures
),
branded AS (
    SELECT
        *,
        rx_brand(brand_text, platform, channel) AS brand,
        rx_also_brands(brand_text, platform, channel) AS also_brands
    FROM texts
),
classified AS (
    SELECT
        *,
        rx_issue_type(CASE WHEN brand IS NOT NULL THEN own_text END) AS rule_issue_type,
        rx_issue_rule(CASE WHEN brand IS NOT NULL THEN own_text END) AS rule_text,
        rx_also_matched(CASE WHEN brand IS NOT NULL THEN own_text END) AS also_matched
    FROM branded
)
SELECT
    c.dt,
    c.platform || ':' || c.native_id AS post_id,
    c.platform,
    c.native_id,
    c.source,
    c.post_type,
    c.channel,
    c.brand,
    c.also_brands,
    c.created_at,
    c.title,
    c.body,
    concat_ws(chr(10) || chr(10), c.title, c.body) AS text,
    c.url,
    c.score,
    c.num_comments,
    c.rating,
    c.platform || ':' || c.parent_id AS parent_id,
    c.platform || ':' || c.crosspost_parent AS duplicate_of,
    -- What a person said stands above what a rule said.
    coalesce(l.issue_type, c.rule_issue_type) AS issue_type,
    CASE WHEN l.issue_type IS NOT NULL THEN 'label' ELSE c.rule_text END AS issue_rule,
    c.also_matched,
    c.fetched_at AS score_captured_at,
    rx_hash(c.title, c.body) AS content_hash,
    CASE
        WHEN c.capture_rank > 1 THEN 'superseded'
        WHEN c.post_type = 'moved' THEN 'moved'
        -- A comment may be about a brand that only its post's headline names: where nobody
        -- knows that headline, nobody knows that it is off brand.
        WHEN c.brand IS NULL AND c.post_type = 'comment' AND nullif(c.link_title, '') IS NULL
            THEN 'parent_unknown'
        WHEN c.brand IS NULL THEN 'off_brand'
    END AS rx_drop
FROM classified c
LEFT JOIN labels l ON l.dt = c.dt AND l.post_id = c.platform || ':' || c.native_id
