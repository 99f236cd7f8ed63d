//! The agent goes, and comes back.

use crate::{
    client::{Answer, Client, Connection},
    edits::{CLIENT, reading},
    install::{AGENT, NAMESPACE, rolled_out},
    kubectl::{eventually, expect},
    stage::{Stage, is_ready, items},
    table::MEMCACHED,
};

/// A second server, to be injected while nobody can give it a policy.
fn newcomer() -> String {
    MEMCACHED.replace("name: memcached\n  labels", "name: newcomer\n  labels")
}

/// Brings the agent back, whatever happened to the test.
pub(crate) struct Away<'a>(&'a Stage);

impl<'a> Away<'a> {
    pub(crate) fn send(stage: &'a Stage) -> Self {
        let away = Self(stage);
        let kubectl = stage.kubectl;
        kubectl.run(&["-n", NAMESPACE, "scale", AGENT, "--replicas=0"]).expect("scaled");
        let kill = ["-n", NAMESPACE, "delete", "pods", "-l", "app.kubernetes.io/name=remora-agent"];
        let kill = [&kill[..], &["--grace-period=0", "--force"]].concat();
        kubectl.run(&kill).expect("killed");
        eventually("the agent is gone", || {
            let args = ["-n", NAMESPACE, "pods", "-l", "app.kubernetes.io/name=remora-agent"];
            let pods = kubectl.get(&args).ok_or("no answer")?;
            expect(items(&pods).next().is_none(), || "a pod is left".to_owned())
        });
        away
    }

    pub(crate) fn is_over(&self) {
        let kubectl = self.0.kubectl;
        kubectl.run(&["-n", NAMESPACE, "scale", AGENT, "--replicas=1"]).expect("scaled");
    }
}

impl Drop for Away<'_> {
    fn drop(&mut self) {
        self.is_over();
        if let Err(error) = rolled_out(self.0.kubectl, NAMESPACE, AGENT) {
            eprintln!("the agent does not come back: {error}");
        }
    }
}

#[test]
fn without_the_agent_verdicts_hold_and_new_pods_wait_with_a_reason() {
    let stage = Stage::set("away");
    stage.apply(&reading("a/"));
    stage.inject(MEMCACHED);
    stage.apply(CLIENT);
    stage.ready("memcached");
    stage.accepted("cache");
    let mut client = stage.client("client");
    client.reach("memcached:11211");
    let open = client.open("memcached:11211").expect("the policy lets the client in");
    judged_as_ever(&mut client, &open);

    let away = Away::send(&stage);
    judged_as_ever(&mut client, &open);
    stage.inject(&newcomer());
    let described = eventually("describe says why the new pod waits", || {
        let text = stage.run(&["describe", "pod", "newcomer"])?;
        let said = text.contains("Startup probe failed") && text.contains("agent");
        expect(said, || text.clone())?;
        Ok(text)
    });
    let why = described.lines().filter(|line| line.contains("Startup probe failed"));
    why.for_each(|line| println!("kubectl describe: {}", line.trim()));
    judged_as_ever(&mut client, &open);
    let server = stage.get(&["pod", "memcached"]).expect("the server");
    assert!(is_ready(&server), "{}", server["status"]);
    let newcomer = stage.get(&["pod", "newcomer"]).expect("the new pod");
    assert!(!is_ready(&newcomer), "{}", newcomer["status"]);

    away.is_over();
    under_churn(&stage, &mut client, &open);
    stage.ready("newcomer");
    judged_as_ever(&mut client, &open);
}

/// While the agent comes back and pods come and go, no verdict changes.
fn under_churn(stage: &Stage, client: &mut Client, open: &Connection) {
    let mut asked = 0;
    let mut generation = 0;
    loop {
        generation += 1;
        let pod = CLIENT.replace("name: client,", &format!("name: churn-{generation},"));
        stage.apply(&pod);
        for _ in 0..20 {
            judged_as_ever(client, open);
            asked += 1;
        }
        let name = format!("churn-{generation}");
        stage.run(&["delete", "pod", &name, "--wait=false"]).expect("deleted");
        let agent = stage.kubectl.get(&["-n", NAMESPACE, AGENT]).expect("the agent");
        let newcomer = stage.get(&["pod", "newcomer"]).expect("the new pod");
        if agent["status"]["readyReplicas"] == 1 && is_ready(&newcomer) {
            println!(
                "asked {asked} times while the agent came back and {generation} pods came and went"
            );
            return;
        }
        assert!(
            generation < 100,
            "expected: the agent and the new pod become ready\nseen: {}",
            newcomer["status"]
        );
    }
}

fn judged_as_ever(client: &mut Client, open: &Connection) {
    assert_eq!(client.ask(open, "get a/x\r\n"), Answer::miss(), "on the open connection");
    assert_eq!(client.ask(open, "get b/x\r\n"), Answer::denied(), "on the open connection");
    assert_eq!(client.ask_anew("memcached:11211", "get a/x\r\n"), Answer::miss(), "on a new one");
    assert_eq!(client.ask_anew("memcached:11211", "get b/x\r\n"), Answer::denied(), "on a new one");
}
