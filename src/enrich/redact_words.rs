//! Words that tell a name from what only stands where a name could.
//!
//! First names and surnames are the most frequent ones of the United States, without those that
//! are ordinary words, brands or drugs. Pure. May not block.

use std::collections::HashSet;
use std::sync::LazyLock;

/// First names that are hardly ever anything else.
const FIRST: &str = "
aaron abby abigail adam adrian adriana agnes ahmed aidan aisha alan albert alberto alejandra alejandro alex
alexa alexander alexandra alexis alfred alice alicia alison allan allison alyssa amanda amber amelia amina amy
ana andre andrea andrew andy angela angelica angelina anita ann anna anne annette annie anthony antonio anya
ariana arlene arthur arturo ashley audrey austin ava barbara barry beatrice becky belinda ben benjamin bernard
bernice beth bethany betty beverly bianca billy blake bob bobby bonnie brad bradley brandi brandon brandy brenda
brendan brent brett brian brianna bridget brittany brooke bruce bryan bryce caitlin caleb calvin cameron camila
candace carl carla carlos carmen caroline carolyn carrie catherine cathy cecilia cedric chad charlene charles
charlie charlotte chelsea cheryl chloe chris christina christine christopher christy cindy claire clara clarence
claudia clayton cliff clifford clint clyde cody colin colleen connie connor corey courtney craig cristina crystal
curtis cynthia daisy dakota dan dana daniel daniela danielle danny darlene darrell darren daryl dave david deanna
debbie deborah debra deepak delores denise dennis derek derrick devin diana diane diego dolores dominic donald
donna doris dorothy doug douglas duane dustin dwayne dylan earl ed eddie edgar edith edna eduardo edward edwin
eileen elaine elena elijah elizabeth ella ellen elsie emily emma emmanuel enrique eric erica erik erika erin
ernest esther ethan eugene eva evan evelyn fatima felicia felix fernando florence frances francis francisco
franklin fred frederick gabriel gabriela gail gary gavin gene geoffrey george gerald geraldine gertrude gina
gladys glenda glenn gloria gordon greg gregory gretchen guillermo gwendolyn hailey hannah harold harry harvey
hassan heather hector heidi helen henry herbert herman howard hugo ian ibrahim ida irene isaac isabel isabella
ivan jackie jackson jacob jacqueline jacquelyn jaime jake jamal james jamie jan jane janet janice jared jasmine
jason javier jay jean jeanette jeanne jeff jeffrey jen jenna jennifer jenny jeremy jermaine jerome jerry jesse
jessica jessie jesus jill jim jimmy jo joan joann joanna joanne joe joel joey john johnny jon jonathan jordan
jorge jose joseph josephine josh joshua joyce juan juanita judith judy julia julian julie julio justin kaitlyn
kara karen kari karl karla kate katherine kathleen kathryn kathy katie katrina kayla keith kelli kelly kelsey ken
kendra kenneth kenny kerry kevin kim kimberly kirk krista kristen kristi kristin kristina kristine kristy kurt
kyle lakshmi larry latasha latoya laura lauren laurie lawrence leah lee leon leonard leroy leslie lester leticia
lewis liam lillian linda lindsay lindsey lisa liz logan lois loretta lori lorraine louis louise lucas lucia
lucille lucy luis luke luz lydia lynn madison malik marc marcia marco marcus margaret margarita maria mariah
marie marilyn mario marion marissa marjorie marlene marsha martha martin marvin mary maryann mason mathew matt
matthew maureen maurice megan meghan mei melanie melinda melissa melvin mercedes meredith michael micheal michele
michelle miguel mike mildred milton mindy miranda misty mitchell mohamed mohammed molly monica monique morgan
muhammad myrtle nancy naomi natalia natalie natasha nathan nathaniel neil nicholas nick nicolas nicole nina noah
nora norma norman olga oliver olivia omar oscar pam pamela patricia patrick patty paul paula pauline pedro peggy
penny perry pete peter phil philip phillip phyllis priya rachel rafael raj ralph ramon randall randy raquel raul
raymond rebecca regina reginald renee ricardo richard rick ricky rita robert roberta roberto robin rochelle
rodney roger roland ron ronald ronnie rosa rosemary ross roy ruben russell ruth ryan sabrina sally sam samantha
samuel sandra sandy sanjay sara sarah saul scott sean sergio seth shane shannon sharon shaun shawn sheila shelby
shelley shelly sherri sherry shirley sierra silvia simon sofia sonia sophia sophie stacey stacy stan stanley
stefan stella stephanie stephen steve steven stuart susan suzanne sydney sylvia tamara tammy tania tanya tara
tasha taylor ted teresa terrance terri terry theodore theresa thomas tiffany tim timothy tina todd tom tommy toni
tony tonya tracey traci tracy travis trevor tricia troy tyler tyrone valerie vanessa vera vernon veronica vicki
vickie vicky victor victoria vincent viola virginia vivian wanda warren wayne wendy wesley whitney willie wilma
xavier yesenia yolanda yvette yvonne zachary zoe";

/// First names that are also words. They count where only a name can stand.
const FIRST_OR_WORD: &str = "
angel art bill carol christian dale dawn dean destiny don drew eli faith frank grace grant gene hope ivy jack joy
kay lance mark max melody miles nick pat pearl penny ray rob rod rose ruby sue violet";

/// Surnames, without those that are ordinary words.
const LAST: &str = "
adams aguilar ahmed alexander allen alvarado alvarez anderson andrews armstrong arnold bailey baker barnes barrett
bell bennett bishop boyd bradley brooks brown bryant burke burns butler campbell carlson carpenter carr carroll
carter castillo castro chang chavez chen choi chung clark cohen coleman collins contreras cook cooper cox
crawford cruz cunningham daniels davidson davis delgado diaz dixon doe duncan dunn edwards elliott ellis estrada
evans ferguson fernandez fields fisher fleming fletcher flores foster fowler fox franklin freeman fuller garcia
gardner garrett garza gibson gilbert gomez gonzales gonzalez gordon graham gray greene griffin guerrero gupta
gutierrez guzman hall hamilton hansen hanson harper harris harrison hart harvey hawkins hayes henderson henry
hernandez herrera hicks hill hoffman holmes howard howell hudson huffman hughes hunter hunt ingram jackson jacobs
james jenkins jennings jensen jimenez johnson johnston jones jordan kaur keller kelley kelly kennedy khan kim
kowalski kumar larson lawson lee lewis li lin liu lopez lowe lynch maldonado marshall martin martinez mason
matthews mccarthy mccoy mcdonald medina mehta mendez mendoza meyer miller mills mitchell montgomery moore morales
moreno morgan morris morrison mueller munoz murphy murray myers nelson newman nguyen nichols nunez obrien oconnor
okafor oliver olson ortega ortiz owens padilla palmer park parker patel patterson payne pena perez perkins perry
peters peterson pham phillips pierce porter powell pratt quinn ramirez ramos ramsey reed reid reyes reynolds
richards richardson riley rios rivera roberts robertson robinson rodriguez rogers romero rosales rose ross ruiz
russell ryan salazar sanchez sanders sandoval santiago santos schmidt schneider schultz schwartz scott shah sharma
shaw silva simmons simpson singh smith snyder soto spencer stephens stevens stewart stone sullivan taylor thomas
thompson torres tran tucker turner valdez vargas vasquez vega wagner walker wallace wang ward warren washington
watkins watson weaver webb weber welch wells west wheeler white williams williamson willis wilson wong wood woods
wright wu yang young zhang zimmerman";

/// What no name is, where a name could stand: the words that begin sentences, follow "my name is"
/// or "Dr.", days, months, brands, drugs.
const NEVER: &str = "
a about above after again against all allergic almost already also although always am amazing an and angry
another any anybody anyone anything anyway apparently appointment appointments are around as asap ask asked at
awesome away back bad based basically be because been before being below best better between big both bought bs
but by call called calling came can cancel cannot change changed clinic come comes completely confirmed correct
could currently customer day days did didn different diagnosed do doctor doctors does doesn doing don done during
each edit either else email emailed even eventually ever every everybody everyone everything except feel fill
filled finally fine first for former found from fully gave get gets getting gives giving go god goes going good
google got great had happy hard has hasn have haven having he hello help her here hers hey hi him his hold hope
hospital how however i if im in incorrect indeed info insists instead insurance interesting into is isn it its
just keep kept kind know knows last late lately later left less let like listed literally lol look looking lost
made make makes many may maybe me med meds medicine might mine missing misspelled month more most mostly move much
my myself name near need needs never new next nice no nobody none nor not note nothing now numbers of off office
offices often oh ok okay old on once one only open or order ordered orders other others our out over own pa
patient patients perhaps pharmacy pharmacist pharmacies pharmd phone please pm prescribed prescribes prescribing
prescription prescriptions primary probably provider put quite ran rather rds really recently refill refilled
refills refused related right rn rx said same saw say saying says scared script scripts see seems seen send sends
sent several she should shouldn sick since sister so some somebody someone something soon sorry specifically
spelled started stated states still stop store stuck such suggested super sure switched take takes taking talk
tell tells than thank thanks that thats the their them then there therefore these they thing think this those
though through tired to today told tomorrow too took tried truly try trying two type under unfortunately until up
update updated upset upon us use used using usually very via visit visits waited waiting want wanted wants was
wasn way we week well went were weren what when where whether which while who whole whom whose why will wish with
within without won wont work working worst would wouldn write writes writing wrong wrote year years yes yesterday
yet you your yours
monday tuesday wednesday thursday friday saturday sunday january february march april june july august september
october november december mon tue tues wed thu thur thurs fri sat sun jan feb mar apr jun jul aug sep sept oct nov
dec spring summer fall winter christmas easter thanksgiving
amazon pillpack cvs walgreens walmart costco kroger publix safeway target sams rite aid duane reade capsule
optum optumrx express caremark humana aetna cigna anthem kaiser permanente medicare medicaid tricare blue cross
shield goodrx singlecare cost plus hims ro teva mylan sandoz lannett camber lupin zydus aurobindo pfizer moderna
merck novartis roche abbott lilly bayer sun cipla reddy reddys scholl scholls bronner bronners pepper oz phil who
strange google seuss mario demand martens evil house love dre axe squatch browns jarts praeger praegers tobias
clean potato robot coffee beast peanut bubbles
adderall vyvanse ritalin concerta focalin strattera xanax klonopin ativan valium ambien lunesta zoloft prozac
lexapro celexa paxil effexor cymbalta wellbutrin abilify seroquel lamictal lithium gabapentin lyrica neurontin
topamax metformin ozempic wegovy mounjaro zepbound trulicity victoza januvia jardiance farxiga lantus humalog
novolog insulin lipitor crestor zocor lisinopril losartan amlodipine metoprolol atenolol warfarin eliquis xarelto
plavix synthroid levothyroxine armour prednisone humira enbrel stelara albuterol advair symbicort flonase zyrtec
claritin allegra benadryl tylenol advil motrin aleve ibuprofen aspirin norco percocet vicodin oxycontin oxycodone
hydrocodone tramadol suboxone methadone naltrexone viagra cialis propecia accutane spironolactone estradiol
testosterone premarin xr er ir hcl mg mcg ml";

/// Lower-case words of which "77 ADJECTIVE street" is no address.
const NO_STREET: &str = "
a about across acre acres across additional along all alone an and another any are around at away back bad be been
before being best better big block blocks bottles bottle brand but by came can cars cents city count days day did
different dollar dollars doses dose down drive driving each every extra far feet few first foot for friends from
ft full generic go going good great had has have he hour hours house houses hr hrs i ic if in is it its just k km
last later lb left less like little live lived long longer lots m max mcg me mg mi mile miles million min
mins minute minutes ml mo month months more most mph much my near need new next nice nights no normal not of off
old on one only open or other others our out over own pack people percent person pharmacies pharmacy pill pills
pm am pretty pt rather real really right said same saw see sec seconds several she short side single size sized so
some spots st still stores store such super tabs tablets tall than that the their them then there these they thing
things think this those times time to total up us very vs wait was way we week weeks were what when where which
while who whole with within without year years yard yards you young your gb tb mb usb ssd hdd sata flash inch solid external portable wireless derp";

fn set(words: &'static str) -> HashSet<&'static [u8]> {
    words.split_ascii_whitespace().map(str::as_bytes).collect()
}

static FIRST_SET: LazyLock<HashSet<&[u8]>> = LazyLock::new(|| set(FIRST));
static FIRST_OR_WORD_SET: LazyLock<HashSet<&[u8]>> = LazyLock::new(|| set(FIRST_OR_WORD));
static LAST_SET: LazyLock<HashSet<&[u8]>> = LazyLock::new(|| set(LAST));
static NEVER_SET: LazyLock<HashSet<&[u8]>> = LazyLock::new(|| set(NEVER));
static NO_STREET_SET: LazyLock<HashSet<&[u8]>> = LazyLock::new(|| set(NO_STREET));

/// A word as it stands in the lists: lower case, without `'` and what follows `'s`.
fn plain(word: &[u8]) -> Vec<u8> {
    let mut word = word.to_ascii_lowercase();
    if word.ends_with(b"'s") {
        word.truncate(word.len() - 2);
    }
    word.retain(|b| *b != b'\'');
    word
}

fn first_part(word: &[u8]) -> &[u8] {
    word.split(|b| *b == b'-').next().unwrap_or(word)
}

/// Whether a word is a first name and hardly anything else.
pub(super) fn is_first(word: &[u8]) -> bool {
    FIRST_SET.contains(&*plain(first_part(word)))
}

/// Whether a word may be a first name.
pub(super) fn may_be_first(word: &[u8]) -> bool {
    is_first(word) || FIRST_OR_WORD_SET.contains(&*plain(first_part(word)))
}

/// Whether a word is a frequent surname.
pub(super) fn is_last(word: &[u8]) -> bool {
    LAST_SET.contains(&*plain(first_part(word)))
}

/// Whether a word is no name even where a name could stand.
pub(super) fn never(word: &[u8]) -> bool {
    NEVER_SET.contains(&*plain(word))
}

/// Whether a word before "street" or "drive" says that this is no address.
pub(super) fn no_street(word: &[u8]) -> bool {
    NO_STREET_SET.contains(&*plain(word))
}
