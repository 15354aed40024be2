#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/json.h"
#include "scoring/neural/layout.h"
#include "trace/router_spec.h"

namespace foregate::scoring {

/// How routers choose, where that is not the highest logits: all that next-gate has to know of
/// them. It is kept as settings of the predictor.
struct RouterChoice {
  trace::RouterSpec spec{};  ///< what gate weights depend on is left at its defaults
  RouterBiasSet biases{};

  std::vector<std::pair<std::string, std::variant<int64_t, std::string>>> settings() const;
};

/// Nothing if there are no such settings. Throws DataError naming document and key, also if no
/// routers of the geometry can be like this.
std::optional<RouterChoice> read_router_choice(const JsonReader& settings,
                                               const trace::Geometry& geometry);

}  // namespace foregate::scoring
