#include <fmt/format.h>

#include <iterator>
#include <nlohmann/json.hpp>

#include "base/files.h"
#include "base/half.h"
#include "base/json.h"
#include "trace/export/exported.h"
#include "trace/export/exporter.h"

namespace foregate::trace {
namespace {

/// Appends `"key":[[[...]]]`, values as [token][MoE layer][rank].
template <typename Value, typename Format>
void append_routing(std::string& line, const char* key, const std::vector<Value>& values,
                    const Geometry& geometry, const Format& format) {
  const auto k = static_cast<size_t>(geometry.top_k);
  const size_t token = k * static_cast<size_t>(geometry.num_moe_layers);
  line += fmt::format(",\"{}\":[", key);
  for (size_t i = 0; i < values.size(); ++i) {
    if (i > 0) line += ',';
    if (i % token == 0) line += '[';
    if (i % k == 0) line += '[';
    fmt::format_to(std::back_inserter(line), "{}", format(values[i]));
    if ((i + 1) % k == 0) line += ']';
    if ((i + 1) % token == 0) line += ']';
  }
  line += ']';
}

/// traces.jsonl: the manifest in the first line, then a text a line.
class LineExporter : public TraceExporter {
 public:
  LineExporter(const fs::path& folder, const Manifest& manifest)
      : geometry_(manifest.geometry), file_(folder / exported::kLines) {
    const Json header = {{"manifest", exported::without_shards(manifest).to_json()}};
    file_.append(json_line(header) + "\n");
  }

  void add(const Trace& trace) override {
    const Json about = {{"dataset", trace.dataset},
                        {"sample", trace.sample},
                        {"prompt_tokens", trace.prompt_tokens},
                        {"token_ids", trace.token_ids}};
    std::string line = json_line(about);
    line.pop_back();  // The closing brace: the nested lists are written faster by hand.
    append_routing(line, "experts", trace.experts, geometry_,
                   [](uint16_t expert) { return expert; });
    if (!trace.gate_weights.empty()) {
      // The shortest decimal that reads back as the same float, and so as the same half.
      append_routing(line, "gate_weights", trace.gate_weights, geometry_, half_to_float);
    }
    line += "}\n";
    file_.append(line);
  }

  void finish() override { file_.commit(); }

 private:
  Geometry geometry_;
  AtomicFile file_;
};

}  // namespace

std::unique_ptr<TraceExporter> export_lines(const fs::path& folder, const Manifest& manifest) {
  return std::make_unique<LineExporter>(folder, manifest);
}

}  // namespace foregate::trace
