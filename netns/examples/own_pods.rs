//! Runs the Pod manifest in the file FILE (JSON; image `host` is this machine's
//! distribution), prints what there is to look at, and waits for standard input
//! to end.

use std::error::Error;
use std::io::{self, Read, Write};

use remora_netns::{Image, Images, Node};

fn main() -> Result<(), Box<dyn Error>> {
    let file = std::env::args().nth(1).ok_or("usage: own_pods FILE")?;
    let manifest = serde_json::from_str(&std::fs::read_to_string(file)?)?;
    let shim = std::env::current_exe()?.with_file_name("../remora-shim");
    let node = Node::with_shim(Images::new().with("host", Image::distro(&[])), &shim)?;
    let pod = node.run_pod(&manifest, |_| Ok(()))?;
    let mut out = io::stdout();
    writeln!(out, "work {}", node.work_dir().display())?;
    for container in pod.manifest()["spec"]["containers"].as_array().into_iter().flatten() {
        let name = container["name"].as_str().unwrap_or_default();
        writeln!(out, "pid {}", pod.pid(name)?)?;
    }
    writeln!(out, "running")?;
    io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
