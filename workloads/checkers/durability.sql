-- What was attempted against what was read back: `written_once` and `overwritten` have a row for
-- each thing, with what `durability.py` counts and words. Sets of sources are bits of a number.

create or replace macro parent(name) as array_to_string(string_split(name, '/')[:-2], '/');
create or replace macro is_created(kind) as list_contains(getvariable('created'), kind);
create or replace macro is_overwritten(kind) as list_contains(getvariable('overwritten'), kind);

create table bits as select *, 1::bigint << number as bit from source;

-- Sources that hold things of a kind.
create table holding as
select kind, bit_or(bit) as sources
from (select unnest(holds) as kind, bit from bits) group by kind;

-- Sources that hold things of a kind of this owner, beside those that hold everybody's.
create table holding_of_some as
select kind, owner, bit_or(bit) as sources
from readback join bits on name = source where list_contains(bits.of_some, kind)
group by all;

-- Sources that were read for an owner's things of a kind, and single keys that they were not for.
create table looked as
select kind, owner, bit_or(bit) as sources
from readback join bits on name = source
where error is null and kind is not null and not failed
    and list_contains(bits.holds || bits.of_some, kind)
group by all;

create table unread as
select kind, owner, key, bit_or(bit) as sources
from (select kind, owner, source, unnest(map_keys(unread)) as key from readback where error is null)
join bits on name = source group by all;

-- What each place has: the sources where it is so many times, and those of them that count.
create table held as
with items as (
    select source, kind, owner, unnest(map_entries(items)) as item
    from readback where error is null and kind is not null
), counted as (
    select source, kind, owner, key, value, count(*) as copies
    from (select source, kind, owner, item.key as key, unnest(item.value) as value from items)
    group by all
), there as (
    select kind, owner, key, value, copies, bit_or(bit) as sources
    from counted join bits on name = source group by all
)
select there.*,
    there.sources & coalesce(looked.sources, 0) & ~coalesce(unread.sources, 0) as seen
from there left join looked using (kind, owner) left join unread using (kind, owner, key);

-- What each create made: its answer says so, or else the only thing of its key.
create table made as
select number, write.kind, write.owner, write.key,
    coalesce(any_value(created), if(min(value_there) = max(value_there), min(value_there), null))
        as id
from write left join (
    select kind, owner, key, value as value_there from held where seen <> 0 and is_created(kind)
) there on there.kind = write.kind and there.owner = coalesce(write.owner, '')
    and there.key = write.key
where is_created(write.kind) group by all;

-- Writes with their owners. One whose owner nobody knows has no place to be looked for. A double
-- has what came with it, though nobody was told.
create table attempt as
with written as (
    select * replace (if(completed_ns > getvariable('until_ns'), 'later', outcome) as outcome)
    from write
)
select number, outcome, invoked_ns, completed_ns, kind, coalesce(owner, '') as owner, key,
    id as value
from written join made using (number, kind, owner, key)
union all
select number, outcome, invoked_ns, completed_ns, written.kind,
    coalesce(written.owner, id, created) as owner, written.key, value
from written left join made using (number)
where not is_created(written.kind) and coalesce(written.owner, id, created) is not null
union all
select number, 'info', invoked_ns, completed_ns, written.kind, doubles.value, written.key,
    written.value
from written join made using (number) join (
    select distinct kind, owner, key, value from held where seen <> 0
) doubles on doubles.kind = made.kind and doubles.owner = coalesce(made.owner, '')
    and doubles.key = made.key and doubles.value is distinct from id
where not is_created(written.kind) and written.owner is null
    and list_contains(getvariable('tokened'), made.kind) and made.key <> '';

-- An assessment that overrode another is gone: that one is valid again, if it is still there.
insert into attempt
select deletion.number, if(also_gone.owner is null, deletion.outcome, 'info'), deletion.invoked_ns,
    deletion.completed_ns, 'field', overridden, getvariable('valid'), 'true'
from attempt deletion join (
    select distinct owner, parent(owner) || '/' || value as overridden from attempt
    where kind = 'field' and key = getvariable('overrides') and outcome <> 'fail'
) overriding on overriding.owner = deletion.owner
left join (
    select distinct owner from attempt where kind = 'deletion' and outcome <> 'fail'
) also_gone on also_gone.owner = overridden
where deletion.kind = 'deletion' and deletion.outcome <> 'fail';

-- Of what came with a new name nothing is known.
create table deletion as
select * replace (if(key = getvariable('renamed'), 'info', outcome) as outcome),
    key = getvariable('renamed') as renamed
from attempt where kind = 'deletion';

create table attempted_place as
select distinct kind, owner, key from attempt where kind <> 'deletion'
union all
select distinct 'latest metric', owner, key from attempt
where kind = 'metric point' and exists (from holding where kind = 'latest metric');

create table written_once as
with tried as (
    select kind, owner, key, value, bool_or(outcome = 'ok') as acknowledged,
        max(number) filter (outcome = 'ok') as acknowledged_by,
        bool_and(outcome = 'later') as later, min(invoked_ns) as invoked_ns, min(number) as number
    from attempt where not is_overwritten(kind) and kind <> 'deletion' group by all
), there as (
    select kind, owner, key, value, bit_or(seen) as seen, max(copies) as copies
    from held where not is_overwritten(kind) and seen <> 0 group by all
), named as (
    select *, if(is_created(kind), value, owner) as holder from tried
), taken as (
    select named.*, deletion.outcome, deletion.completed_ns, deletion.number as deleted_by
    from named join deletion on deletion.owner = holder
    union all
    select named.*, deletion.outcome, deletion.completed_ns, deletion.number
    from named join deletion on deletion.owner = parent(holder)
), gone as (
    -- A deletion that had ended before a thing was sent took another one.
    select kind, owner, key, value, max(deleted_by) filter (outcome = 'ok') as deleted_by
    from taken
    where outcome <> 'fail' and not coalesce(outcome = 'ok' and completed_ns < invoked_ns, false)
    group by all
), things as (
    select kind, owner, key, value, tried.number,
        tried.kind is not null as attempted, coalesce(acknowledged, false) as acknowledged,
        acknowledged_by, coalesce(later, false) as later,
        coalesce(there.seen, 0) as seen, coalesce(copies, 1) as copies
    from tried full join there using (kind, owner, key, value)
    where tried.kind is not null or exists (
        from attempted_place place
        where place.kind = there.kind and place.owner = there.owner and place.key = there.key
    )
), compared as (
    select things.*, gone.kind is not null as gone, deleted_by,
        coalesce(looked.sources, 0) & ~coalesce(unread.sources, 0) as readers,
        bit_count(coalesce(looked.sources, 0) & ~coalesce(unread.sources, 0))
            < greatest(1, bit_count(
                coalesce(holding.sources, 0) | coalesce(of_some.sources, 0)
            )) as partly
    from things
    left join gone on gone.kind = things.kind and gone.owner = things.owner
        and gone.key = things.key and gone.value is not distinct from things.value
    left join looked on looked.kind = things.kind and looked.owner = things.owner
    left join unread on unread.kind = things.kind and unread.owner = things.owner
        and unread.key = things.key
    left join holding on holding.kind = things.kind
    left join holding_of_some of_some on of_some.kind = things.kind
        and of_some.owner = things.owner
)
select *, readers & ~seen as absent,
    case
        when gone and (deleted_by is null or (seen = 0 and not partly)) then null
        when gone then if(seen <> 0, 'not deleted', 'unread')
        when acknowledged and readers & ~seen <> 0 then 'lost'
        when acknowledged then if(partly, 'unread', null)
        when attempted then if(seen <> 0, 'recovered', null)
        when not is_created(kind) then 'unexpected'
    end as what,
    case
        when gone or acknowledged then what = 'lost' and seen <> 0
        else seen <> 0 and absent <> 0 and not later and (not attempted or seen <> 0)
            and (attempted or is_created(kind))
    end as differs
from compared;

-- Several ids at the place of one create.
create table made_again as
select kind, key, list(value order by value) as ids, min(number) as number
from written_once where is_created(kind) and seen <> 0
group by kind, owner, key having count(*) > 1;

-- What is there of creates that no client was told the end of: no client knows its id.
create table orphan as
select kind, owner, key, list(value order by value) filter (found) as ids, min(number) as number
from (
    select *, what = 'recovered' or (not attempted and not gone and seen <> 0) as found
    from written_once where is_created(kind)
)
group by kind, owner, key
having bool_or(found) and bool_or(attempted) and not bool_or(acknowledged) and not bool_or(later);

create table sent as
with own as (
    select number, outcome, invoked_ns, completed_ns, kind, owner, key, value, false as deletes,
        null::struct(step bigint, at_ms bigint, value double) as rank
    from attempt
    where is_overwritten(kind) and not (
        getvariable('staged') and kind = 'field' and key = 'lifecycle_stage'
    )
    union all
    select number, outcome, invoked_ns, completed_ns, 'latest metric', owner, key, value, false,
        {
            'step': point[1]::bigint,
            'at_ms': point[2]::bigint,
            'value': if(point[3] = 'NaN', 0, point[3]::double)
        }
    from (select *, from_json(value, '["varchar"]') as point from attempt
          where kind = 'metric point')
    where exists (from holding where kind = 'latest metric')
), places as (
    select distinct kind, owner, key from own
), gone as (
    select places.*, deletion.number, outcome, invoked_ns, completed_ns
    from places join deletion on deletion.owner = places.owner where outcome <> 'fail'
    union all
    select places.*, deletion.number, outcome, invoked_ns, completed_ns
    from places join deletion on deletion.owner = parent(places.owner) where outcome <> 'fail'
    union all
    select places.*, deletion.number, outcome, invoked_ns, completed_ns
    from places join deletion on deletion.owner = places.key
    where places.kind = 'trace link' and outcome <> 'fail'
), tried as (
    from own union all
    -- A link is not shown any more once one of its ends is gone, and may be kept.
    select number, if(kind = 'trace link', 'info', outcome), invoked_ns, completed_ns, kind, owner,
        key, null, true, null
    from gone
), compared as (
    select *,
        max(invoked_ns) filter (outcome = 'ok') over place as last_begun,
        max(rank) filter (outcome = 'ok') over place as highest
    from tried window place as (partition by kind, owner, key)
), version_gone as (
    -- An alias goes with its version.
    select own.owner, own.key, own.value,
        max(deletion.number) filter (deletion.outcome = 'ok') as deleted_by
    from own join deletion on deletion.owner = own.owner || '/' || own.value
    where own.kind = 'model alias' and deletion.outcome <> 'fail' group by all
), judged as (
    select compared.*, version.owner is not null as version_gone, deleted_by,
        case
            when outcome = 'fail' then false
            when kind = 'latest metric' then highest is null or rank >= highest
            -- Of several the server keeps the first.
            when kind = 'model metric' then true
            when list_contains(getvariable('first_kept'), compared.kind || '/' || compared.key) then true
            else not coalesce(outcome = 'ok' and completed_ns < last_begun, false)
        end as may_be_last
    from compared left join version_gone version on kind = 'model alias'
        and version.owner = compared.owner and version.key = compared.key
        and version.value = compared.value
)
select kind, owner, key, number, value, outcome, deletes, rank, highest, deleted_by, version_gone,
    may_be_last
from judged;

create table place as
select kind, owner, key, min(number) as number,
    bool_or(outcome = 'ok' and not deletes) as acknowledged,
    bool_or(outcome = 'ok') as settled,
    bool_or(deletes) and kind = 'artifact' as outlives,
    bool_and(outcome = 'later') as later,
    bool_or(may_be_last and (value is null or version_gone))
        or (kind = 'latest metric' and not settled) as may_be_absent,
    arg_max(
        {'number': coalesce(deleted_by, number), 'value': if(deleted_by is null, value, null)},
        {'deletes': deletes, 'rank': rank, 'number': number}
    ) filter (outcome = 'ok') as acknowledged_by
from sent group by kind, owner, key;

-- What those places have: whether anybody sent it, and whether it could be the last value.
create table item as
with value_sent as (
    select kind, owner, key, value, bool_or(may_be_last and deleted_by is null) as may_be_last
    from sent where value is not null group by all
)
select held.*, coalesce(may_be_last, false) as may_be_last,
    -- What a server derives by itself is nobody's as long as nobody's was acknowledged.
    value_sent.kind is null and (settled or not list_contains(
        getvariable('derived'), held.kind || '/' || held.key
    )) as unexpected
from held join (from place where not outlives) place using (kind, owner, key)
left join value_sent using (kind, owner, key, value)
where is_overwritten(held.kind) and held.seen <> 0;

create table overwritten as
with there as (
    select kind, owner, key, count(*) as present, count(*) filter (unexpected) as unexpected,
        bit_or(seen) as seen, bit_and(seen) as seen_by_all, max(copies) as copies,
        coalesce(bit_or(seen) filter (may_be_last), 0) as good
    from item group by kind, owner, key
), several as (
    -- Several values at a place, or one several times: counted source by source.
    select kind, owner, key, count(distinct value) as present,
        count(distinct value) filter (unexpected) as unexpected, max(total) as copies
    from (
        select *, sum(copies) over (partition by kind, owner, key, bit) as total
        from item join bits on item.seen & bit <> 0
        semi join (from there where present > 1 or copies > 1) there using (kind, owner, key)
    ) group by kind, owner, key
), read as (
    select place.*,
        coalesce(several.present, there.present, 0) as present,
        coalesce(several.unexpected, there.unexpected, 0) as unexpected,
        coalesce(several.copies, there.copies, 0) as copies, there.seen, seen_by_all,
        coalesce(looked.sources, 0) & ~coalesce(unread.sources, 0) as readers,
        readers & ~coalesce(good, 0) & if(may_be_absent, coalesce(there.seen, 0), -1) as absent,
        bit_count(readers) < greatest(1, bit_count(
            coalesce(holding.sources, 0) | coalesce(of_some.sources, 0)
        )) as partly
    from place left join there using (kind, owner, key) left join several using (kind, owner, key)
    left join looked using (kind, owner) left join unread using (kind, owner, key)
    left join holding using (kind)
    left join holding_of_some of_some using (kind, owner)
)
select kind, owner, key, number, acknowledged, acknowledged_by.number as acknowledged_by,
    acknowledged_by.value as value, readers, absent, readers & ~absent as seen, present, unexpected,
    copies,
    case
        when outlives then null
        when not settled then if(present > unexpected, 'recovered', null)
        when absent <> 0 then 'lost'
        when partly then 'unread'
    end as what,
    case
        when outlives then false
        when what = 'lost' then readers & ~absent <> 0
        else not later and present > 0 and seen_by_all <> readers
    end as differs
from read;

-- What is where nobody wrote: it does not matter who of the sources is asked for such things.
create table stranger as
select kind, owner, key, value, bit_or(sources) as sources
from held anti join attempted_place using (kind, owner, key)
where not list_contains(getvariable('server_chooses'), kind || '/' || key)
    and owner not in (select owner from deletion where renamed)
    and parent(owner) not in (select owner from deletion where renamed)
group by all;

create table counts as
select kind, sum(attempted) as attempted, sum(acknowledged) as acknowledged,
    sum(present) as present, sum(lost) as lost, sum(recovered) as recovered,
    sum(unexpected) as unexpected, sum(duplicates) as duplicates, sum(differing) as differing,
    sum(unread) as unread, sum(orphans) as orphans
from (
    select kind, count(*) filter (attempted) as attempted,
        count(*) filter (acknowledged) as acknowledged, count(*) filter (seen <> 0) as present,
        count(*) filter (what = 'lost') as lost, count(*) filter (what = 'recovered') as recovered,
        count(*) filter (what = 'unexpected') as unexpected,
        coalesce(sum(copies - 1) filter (seen <> 0), 0) as duplicates,
        count(*) filter (differs) as differing, count(*) filter (what = 'unread') as unread,
        0 as orphans
    from written_once group by kind
    union all
    select kind, 0, 0, 0, 0, 0, 0, sum(len(ids) - 1), 0, 0, 0 from made_again group by kind
    union all
    select kind, 0, 0, 0, 0, 0, 0, 0, 0, 0, count(*) from orphan group by kind
    union all
    select kind, count(*), count(*) filter (acknowledged), sum(present),
        count(*) filter (what = 'lost'), count(*) filter (what = 'recovered'),
        sum(unexpected), sum(greatest(copies - 1, 0)),
        count(*) filter (differs), count(*) filter (what = 'unread'), 0
    from overwritten group by kind
    union all
    select kind, 0, 0, count(*), 0, 0, count(*), 0, 0, 0, 0 from stranger group by kind
    union all
    select 'deletion', count(distinct owner), count(distinct owner) filter (outcome = 'ok'),
        0, 0, 0, 0, 0, 0, 0, 0
    from deletion where not renamed having count(*) > 0
    union all
    select 'deletion', 0, 0, 0, count(*), 0, 0, 0, 0, 0, 0
    from written_once where what = 'not deleted' having count(*) > 0
) group by kind;
