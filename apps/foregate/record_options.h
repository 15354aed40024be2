#pragma once

#include <string>
#include <vector>

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace foregate {

/// What a trace is to hold beside routing decisions.
struct RecordedStates {
  bool logits = false;
  double feature_fraction = 0;  ///< of the texts
};

/// Takes logits and features[:F], several with commas between them.
CLI::Option* add_states_option(CLI::App& command, const std::string& name,
                               std::vector<std::string>& states);
/// Throws UsageError.
RecordedStates parse_states(const std::vector<std::string>& states, const std::string& option);

}  // namespace foregate
