//! Cilium's own kind comes to a cluster, and goes from it.

use crate::{
    client::Answer,
    edits::{CLIENT, reading},
    install::NAMESPACE,
    kubectl::{eventually, expect},
    stage::Stage,
    table::MEMCACHED,
};

/// As much of the definition as the API server needs to keep a rule.
const KIND: &str = include_str!("manifests/cilium-kind.yaml");
const NAME: &str = "ciliumnetworkpolicies.cilium.io";

/// The definition without what Cilium 1.20 has removed.
fn without_l7() -> String {
    let (before, rules) =
        KIND.split_once("                              l7proto:").expect("l7proto");
    let (_, after) = rules.split_once("          status:\n").expect("the status");
    let rest = "                              http: {type: array, items: {type: object}}\n";
    format!("{before}{rest}          status:\n{after}")
}

fn agent_log(stage: &Stage) -> Result<String, String> {
    stage.kubectl.run(&["-n", NAMESPACE, "logs", "deployment/remora-agent", "--tail=50"])
}

/// Takes the kind away, whatever happened to the test.
struct Kind<'a>(&'a Stage);

impl Kind<'_> {
    fn remove(&self) {
        let delete = ["delete", "customresourcedefinition", NAME, "--ignore-not-found"];
        if let Err(error) = self.0.kubectl.run(&delete) {
            eprintln!("{NAME} stays: {error}");
        }
    }
}

impl Drop for Kind<'_> {
    fn drop(&mut self) {
        self.remove();
    }
}

#[test]
fn ciliums_kind_is_read_when_it_comes_and_its_policies_stay_when_it_goes() {
    let stage = Stage::set("cilium");
    stage.inject(MEMCACHED);
    stage.apply(CLIENT);
    stage.ready("memcached");
    let mut client = stage.client("client");
    client.reach("memcached:11211");
    let mut ask = |request: &str| client.ask_anew("memcached:11211", request);
    assert_eq!(ask("get b/x\r\n"), Answer::miss(), "no policy selects the server");

    stage.apply(KIND);
    let kind = Kind(&stage);
    let wait = ["wait", "--for=condition=Established", "--timeout=30s"];
    stage.kubectl.run(&[&wait[..], &["customresourcedefinition", NAME]].concat()).expect("served");
    let policy = reading("a/")
        .replace("policy.remora.dev/v1alpha1", "cilium.io/v2")
        .replace("L7Policy", "CiliumNetworkPolicy");
    stage.apply(&policy);
    eventually("the policy is enforced", || {
        let answer = ask("get b/x\r\n");
        expect(answer == Answer::denied(), || answer.to_string())
    });
    assert_eq!(ask("get a/x\r\n"), Answer::miss());
    eventually("its status says that it is in force here", || {
        let object = stage.get(&["ciliumnetworkpolicy", "cache"]).ok_or("it is not there")?;
        let conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let ours = conditions.iter().find(|own| own["type"] == "policy.remora.dev/Accepted");
        expect(ours.is_some_and(|own| own["status"] == "True"), || object["status"].to_string())
    });

    // Cilium 1.20's definition: `rules` is still there, and `l7proto` is not.
    stage.apply(&without_l7());
    eventually("the agent says aloud that the definition has lost its L7 rules", || {
        let log = agent_log(&stage)?;
        expect(log.contains("its definition has no `l7proto` any more"), || log.clone())
    });
    // kubectl would refuse what it knows will be dropped; other clients do not ask.
    let apply = ["-n", &stage.namespace, "apply", "--validate=ignore", "-f", "-"];
    stage.kubectl.feed(&apply, &policy.replace("a/", "b/")).expect("applied");
    let kept = stage.get(&["ciliumnetworkpolicy", "cache"]).expect("the policy");
    let rules = &kept["spec"]["ingress"][0]["toPorts"][0]["rules"];
    assert!(rules["l7proto"].is_null(), "the API server drops what it does not know: {rules}");
    assert_eq!(ask("get b/x\r\n"), Answer::denied(), "what is left of a policy opens nothing");
    assert_eq!(ask("get a/x\r\n"), Answer::miss(), "the last good one stays in force");
    stage.apply(KIND);

    kind.remove();
    eventually("the agent says aloud that the kind has gone", || {
        let log = agent_log(&stage)?;
        let line = log
            .lines()
            .find(|line| line.contains("ERROR CiliumNetworkPolicy") && line.contains("gone"));
        expect(line.is_some(), || log.clone())
    });
    assert_eq!(ask("get b/x\r\n"), Answer::denied(), "the last good policy stays");
    assert_eq!(ask("get a/x\r\n"), Answer::miss());
}
