//! Policies from XML: what gateways' pages and editors show loads as it stands and is what a builder
//! makes; whatever else a document says is an error with its place.

use cache_gateway::{
    CacheContext, CacheKey, ExpirySettings, InvalidateCache, LookupCache, Policy, PopulateCache,
    ResponseCache, Scope, TimeOfDay, Value, Zone,
};

macro_rules! document {
    ($name:literal) => {
        include_str!(concat!("documents/", $name))
    };
}

#[test]
fn apigee_invalidate() {
    let or = |text: &str| Value::of("variable_name").or(text.to_owned());
    let key = CacheKey::new()
        .prefix("UserToken")
        .reference("request.queryparam.client_id")
        .literal("apiAccessToken");
    let built = InvalidateCache::new("policy-name", key)
        .display_name("Policy Name")
        .cache_resource("tokens")
        .scope(Scope::Application)
        .context(
            CacheContext::new()
                .application(or("weatherapi"))
                .proxy(or("default"))
                .target(or("weather")),
        )
        .purge_child_entries();
    let read = InvalidateCache::from_xml(document!("apigee-invalidate.xml"));
    assert_eq!(read.as_ref(), Ok(&built));
    assert_eq!(
        Policy::from_xml(document!("apigee-invalidate.xml")),
        Ok(Policy::InvalidateCache(built))
    );
}

#[test]
fn the_empty_elements_of_an_editors_template_say_nothing() {
    let uri = || CacheKey::new().reference("request.uri");
    assert_eq!(
        InvalidateCache::from_xml(document!("apigee-template-invalidate.xml")),
        Ok(InvalidateCache::new("Invalidate-Cache-1", uri()).display_name("Invalidate Cache 1"))
    );
    assert_eq!(
        ResponseCache::from_xml(document!("apigee-template-response.xml")),
        Ok(
            ResponseCache::new("Response-Cache-1", uri(), ExpirySettings::timeout(3600))
                .display_name("Response Cache 1")
        )
    );
}

/// It has a comment before the XML declaration, a namespace and no name.
#[test]
fn sap_invalidate() {
    let key = CacheKey::new().reference("request.header.userid");
    let built = InvalidateCache::new("InvalidateCache", key).purge_child_entries();
    let read = InvalidateCache::from_xml(document!("sap-invalidate.xml")).unwrap();
    assert_eq!(read, built);
    assert_eq!(read.named("Flush").name().as_str(), "Flush");
}

#[test]
fn apigee_populate_and_lookup() {
    let key = CacheKey::new().reference("request.queryparam.client_id");
    assert_eq!(
        PopulateCache::from_xml(document!("apigee-populate.xml")),
        Ok(PopulateCache::new(
            "Populate-Cache-1",
            "flow.token",
            key.literal("a & b <&>"),
            ExpirySettings::timeout(300)
        )
        .display_name("Populate Cache 1")
        .continue_on_error(true)
        .scope(Scope::Global))
    );
    let key = CacheKey::new()
        .prefix("UserToken")
        .literal("apiAccessToken")
        .reference("request.queryparam.client_id");
    assert_eq!(
        LookupCache::from_xml(document!("apigee-lookup.xml")),
        Ok(LookupCache::new("Lookup-Cache-1", "flow.token", key)
            .display_name("Lookup Cache 1")
            .enabled(false)
            .lookup_timeout(30)
            .scope(Scope::Proxy))
    );
}

#[test]
fn sap_response() {
    let time = Value::of("time.from.variable").or(TimeOfDay::from("14:30:00"));
    let expiry = ExpirySettings::time_of_day(time, Zone::from("Europe/Berlin"));
    let built = ResponseCache::new(
        "ResponseCache",
        CacheKey::new().reference("request.uri"),
        expiry,
    )
    .scope(Scope::Target)
    .exclude_error_response(false)
    .skip_lookup(r#"request.header.bypass-cache = "true""#)
    .skip_population(r#"response.status.code >= 400 and request.verb != "GET""#)
    .use_accept_header(true)
    .use_response_cache_headers(true);
    assert_eq!(
        ResponseCache::from_xml(document!("sap-response.xml")),
        Ok(built)
    );
}

const LOOKUP: &str = r#"<LookupCache name="L">
<CacheKey><KeyFragment>k</KeyFragment></CacheKey>
<AssignTo>flow.token</AssignTo>
</LookupCache>"#;

const RESPONSE: &str = r#"<ResponseCache name="R">
<CacheKey><KeyFragment ref="request.uri"/></CacheKey>
<ExpirySettings><TimeoutInSeconds>60</TimeoutInSeconds></ExpirySettings>
</ResponseCache>"#;

/// A document, a text in it, what is there instead; the place of the error, and words of it.
type Case = (
    &'static str,
    &'static str,
    &'static str,
    (u32, u32),
    &'static [&'static str],
);

/// Each is a document that loads with one thing changed, the place of what is wrong, and words of the
/// error.
#[test]
fn what_is_wrong_is_named_with_its_place() {
    assert!(Policy::from_xml(LOOKUP).is_ok() && Policy::from_xml(RESPONSE).is_ok());
    let cases: &[Case] = &[
        // Unknown, misplaced, doubled.
        (
            LOOKUP,
            "<AssignTo>",
            "<Asign/><AssignTo>",
            (3, 1),
            &["<Asign>", "AssignTo, "],
        ),
        (
            LOOKUP,
            "<AssignTo>",
            "<KeyFragment>x</KeyFragment><AssignTo>",
            (3, 1),
            &["<KeyFragment> has no place in <LookupCache>"],
        ),
        (
            LOOKUP,
            "<AssignTo>",
            "<Scope>Global</Scope><Scope>Proxy</Scope><AssignTo>",
            (3, 22),
            &["<Scope>", "twice"],
        ),
        (
            LOOKUP,
            "<AssignTo>",
            "text<AssignTo>",
            (2, 50),
            &["has a text"],
        ),
        (
            LOOKUP,
            "name=\"L\"",
            "nam=\"L\"",
            (1, 14),
            &["`nam`", "name, continueOnError"],
        ),
        (
            LOOKUP,
            "name=\"L\"",
            "name=\"L\" name=\"M\"",
            (1, 23),
            &["name"],
        ),
        (
            LOOKUP,
            "<AssignTo>",
            "<AssignTo ref=\"x\">",
            (3, 11),
            &["<AssignTo>", "`ref`"],
        ),
        (
            LOOKUP,
            "k<",
            "k<b/><",
            (2, 25),
            &["<b> has no place in <KeyFragment>"],
        ),
        // Values.
        (
            LOOKUP,
            "name=\"L\"",
            "name=\"a/b\"",
            (1, 14),
            &["'/' at character 2"],
        ),
        (
            LOOKUP,
            "name=\"L\"",
            "name=\"L\" enabled=\"yes\"",
            (1, 23),
            &["`enabled`", "\"yes\"", "true nor false"],
        ),
        (
            LOOKUP,
            "<AssignTo>",
            "<Scope>global</Scope><AssignTo>",
            (3, 1),
            &["<Scope>", "\"global\"", "Exclusive, Global"],
        ),
        (
            LOOKUP,
            "flow.token",
            "request.header.x",
            (1, 1),
            &["<AssignTo>", "request.header.x"],
        ),
        (LOOKUP, "flow.token", "", (3, 1), &["<AssignTo> is empty"]),
        (
            LOOKUP,
            "<AssignTo>",
            "<CacheLookupTimeoutInSeconds>0</CacheLookupTimeoutInSeconds><AssignTo>",
            (3, 1),
            &["<CacheLookupTimeoutInSeconds>", "from 1"],
        ),
        (
            LOOKUP,
            "<KeyFragment>k",
            "<KeyFragment ref=\"request.heder.x\">",
            (2, 24),
            &["request.heder.x", "header.NAME"],
        ),
        (
            LOOKUP,
            "<KeyFragment>k",
            "<KeyFragment ref=\"request.uri\">k",
            (2, 11),
            &["keep one"],
        ),
        (
            LOOKUP,
            "<KeyFragment>k",
            "<KeyFragment type=\"int\">k",
            (2, 24),
            &["string"],
        ),
        (
            LOOKUP,
            "k</KeyFragment>",
            "</KeyFragment>",
            (2, 11),
            &["needs a text or a `ref`"],
        ),
        (
            LOOKUP,
            "<AssignTo>",
            "<FaultRules><FaultRule/></FaultRules><AssignTo>",
            (3, 1),
            &["<FaultRules>", "not carried out"],
        ),
        (
            LOOKUP,
            "<AssignTo>",
            "<Properties><P/></Properties><AssignTo>",
            (3, 1),
            &["<Properties>"],
        ),
        (
            RESPONSE,
            "60",
            "0",
            (3, 17),
            &["<TimeoutInSeconds>", "from 1"],
        ),
        (
            RESPONSE,
            "60",
            "-1",
            (3, 17),
            &["<TimeoutInSeconds>", "from 1"],
        ),
        (
            RESPONSE,
            "60",
            "60</TimeoutInSeconds><TimeOfDay>9:00:00</TimeOfDay><TimeoutInSec>60</TimeoutInSec><TimeoutInSeconds>",
            (3, 117),
            &["twice"],
        ),
        (
            RESPONSE,
            "<TimeoutInSeconds>60</TimeoutInSeconds>",
            "<TimeOfDay>9:00:00</TimeOfDay>",
            (3, 17),
            &["<TimeOfDay>", "hh:mm:ss"],
        ),
        (
            RESPONSE,
            "<TimeoutInSeconds>60</TimeoutInSeconds>",
            "<TimeOfDay zone=\"Berlin\">09:00:00</TimeOfDay>",
            (3, 28),
            &["`zone`", "IANA"],
        ),
        (
            RESPONSE,
            "<TimeoutInSeconds>60</TimeoutInSeconds>",
            "<ExpiryDate>2030-12-31</ExpiryDate>",
            (3, 17),
            &["<ExpiryDate>", "mm-dd-yyyy"],
        ),
        (
            RESPONSE,
            "<TimeoutInSeconds>60</TimeoutInSeconds>",
            "<ExpiryDate>12-31-2030</ExpiryDate><TimeOfDay>09:00:00</TimeOfDay>",
            (3, 1),
            &["keep one"],
        ),
        (
            RESPONSE,
            "<TimeoutInSeconds>60</TimeoutInSeconds>",
            "",
            (3, 1),
            &["<ExpirySettings> says nothing"],
        ),
        (
            RESPONSE,
            "<ExpirySettings>",
            "<SkipCacheLookup>request.verb = </SkipCacheLookup><ExpirySettings>",
            (3, 1),
            &["<SkipCacheLookup>", "character 15"],
        ),
        (
            RESPONSE,
            "<ExpirySettings>",
            "<SkipCacheLookup>response.status.code = 200</SkipCacheLookup><ExpirySettings>",
            (1, 1),
            &[
                "<SkipCacheLookup>",
                "response.status.code",
                "before there is a response",
            ],
        ),
        (
            RESPONSE,
            "request.uri",
            "response.header.x",
            (1, 1),
            &["<CacheKey>", "response.header.x"],
        ),
        // What is missing.
        (
            LOOKUP,
            "<AssignTo>flow.token</AssignTo>",
            "",
            (1, 1),
            &["<LookupCache> needs a <AssignTo>"],
        ),
        (
            LOOKUP,
            "<CacheKey><KeyFragment>k</KeyFragment></CacheKey>",
            "",
            (1, 1),
            &["needs a <CacheKey>"],
        ),
        (
            LOOKUP,
            "<AssignTo>",
            "<CacheContext><APIProxyName>a</APIProxyName></CacheContext><AssignTo>",
            (1, 1),
            &["<ProxyName>", "Exclusive"],
        ),
        // The document.
        (
            LOOKUP,
            "</LookupCache>",
            "</Lookup>",
            (4, 1),
            &["not well-formed"],
        ),
        (
            LOOKUP,
            "<LookupCache",
            "<!DOCTYPE a [<!ENTITY e SYSTEM \"file:///etc/hostname\">]><LookupCache",
            (1, 1),
            &["document type declaration"],
        ),
        (LOOKUP, "flow.token", "&token;", (3, 11), &["token"]),
        (
            LOOKUP,
            "name=\"L\"",
            "xmlns=\"http://example.com/\"",
            (1, 1),
            &["http://example.com/", "http://www.sap.com/apimgmt"],
        ),
        (
            LOOKUP,
            "<AssignTo>",
            "<AssignTo xmlns=\"http://www.sap.com/apimgmt\">",
            (3, 1),
            &["<AssignTo>"],
        ),
        (
            LOOKUP,
            "LookupCache",
            "SpikeArrest",
            (1, 1),
            &["<SpikeArrest> is no policy", "ResponseCache"],
        ),
    ];
    for (document, from, to, place, words) in cases {
        let changed = document.replace(from, to);
        assert_ne!(&changed, document, "{from}");
        let error = match Policy::from_xml(&changed) {
            Err(error) => error,
            Ok(policy) => panic!("{to}: read as {policy:?}"),
        };
        assert_eq!((error.line(), error.column()), *place, "{to}: {error}");
        for word in *words {
            assert!(error.to_string().contains(word), "{to}: {error}");
        }
    }
}

#[test]
fn each_policy_reads_its_own_element_alone() {
    let error = InvalidateCache::from_xml(LOOKUP).unwrap_err().to_string();
    assert!(
        error.contains("<LookupCache> is not <InvalidateCache>"),
        "{error}"
    );
}

#[test]
fn all_of_a_cache_is_not_purged_for_want_of_a_fragment() {
    let xml = "<InvalidateCache><CacheKey><Prefix>p</Prefix></CacheKey>\
               <PurgeChildEntries>true</PurgeChildEntries></InvalidateCache>";
    let error = InvalidateCache::from_xml(xml).unwrap_err().to_string();
    assert!(error.contains("purge_all()"), "{error}");
    let all = InvalidateCache::new("All", CacheKey::new()).purge_all();
    assert_eq!(all.check(), Ok(()));
}

#[test]
fn a_key_of_nothing_names_no_entry() {
    for xml in [
        "<InvalidateCache><CacheKey/></InvalidateCache>",
        "<InvalidateCache><CacheKey><Prefix/></CacheKey></InvalidateCache>",
        "<LookupCache><CacheKey/><AssignTo>flow.token</AssignTo></LookupCache>",
        "<PopulateCache><CacheKey/><Source>flow.token</Source>\
         <ExpirySettings><TimeoutInSeconds>60</TimeoutInSeconds></ExpirySettings></PopulateCache>",
    ] {
        let error = Policy::from_xml(xml).unwrap_err().to_string();
        assert!(error.contains("add a <KeyFragment>"), "{xml}: {error}");
        let named = xml.replace("<CacheKey/>", "<CacheKey><Prefix>p</Prefix></CacheKey>");
        let named = named.replace("<Prefix/>", "<Prefix>p</Prefix>");
        assert!(Policy::from_xml(&named).is_ok(), "{named}");
    }
}

#[test]
fn what_policies_say_is_not_assigned() {
    for name in ["lookupcache.Find.cachehit", "fault.name", "request.uri"] {
        let find = LookupCache::new("Find", name, CacheKey::new().literal("k"));
        let error = find.check().unwrap_err().to_string();
        assert!(error.contains(name), "{error}");
    }
}

/// Lines and columns behind a late declaration are those of the text as it was given.
#[test]
fn a_late_declaration_moves_nothing() {
    for before in ["<!-- \u{e4} -->", " \n", "<!--\n-->\n<!-- -->"] {
        let late = format!("{before}<?xml\nversion=\"1.0\" ?>\n<LookupCache nam=\"x\"/>");
        let error = Policy::from_xml(&late).unwrap_err();
        let lines = late.lines().count();
        assert_eq!(
            (error.line() as usize, error.column()),
            (lines, 14),
            "{late}: {error}"
        );
    }
    // It must be one, and comments alone may be before it.
    assert!(Policy::from_xml(&format!("<!-- {LOOKUP}")).is_err());
    assert!(Policy::from_xml(&format!("<a/><?xml version=\"1.0\"?>{LOOKUP}")).is_err());
}

#[test]
fn a_timeout_wins_over_other_expiries() {
    let more = "60</TimeoutInSeconds><TimeOfDay>09:00:00</TimeOfDay>\
                <ExpiryDate>12-31-2030</ExpiryDate><TimeoutInSec>9</TimeoutInSec>\
                <TimeoutInSeconds/>";
    let xml = RESPONSE.replace(
        "60</TimeoutInSeconds>",
        &more.replace("<TimeoutInSeconds/>", ""),
    );
    let uri = CacheKey::new().reference("request.uri");
    let built = ResponseCache::new("R", uri, ExpirySettings::timeout(60));
    assert_eq!(ResponseCache::from_xml(&xml), Ok(built));
}
