//! Graphs as text: `%3 = matmul %1 %2`, one node per line. `plugins show` prints them, and tests
//! compare them.

use crate::graph::{Graph, Node};
use std::fmt::{Display, Formatter, Result};

impl Display for Node {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "{}", self.op)?;
        for input in &self.inputs {
            write!(f, " %{input}")?;
        }
        for attribute in &self.attributes {
            write!(f, " {}={}", attribute.key, attribute.value)?;
        }
        Ok(())
    }
}

impl Display for Graph {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        for (index, node) in self.nodes.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "%{index} = {node}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::graph::GraphBuilder;

    #[test]
    fn prints_one_node_a_line() {
        let mut g = GraphBuilder::new();
        let x = g.input("x");
        let a = g.parameter("a");
        let low = g.linear(x, a);
        g.scale(low, 0.5);
        let text = "%0 = input name=x\n%1 = parameter name=a\n%2 = transpose %1\n%3 = matmul %0 %2\n%4 = scale %3 by=0.5";
        assert_eq!(g.finish().to_string(), text);
    }
}
