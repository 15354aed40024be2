// trace_fixture write DIR    writes a trace directory by the formulas of support/trace_fixture.h
// trace_fixture read DIR     prints every trace of a directory as a line of JSON; on an error,
// prints it
//                            to stderr and exits with 1
// trace_fixture split DIR    prints the split of every trace, a line each

#include <fmt/core.h>

#include <iostream>
#include <nlohmann/json.hpp>
#include <string>

#include "base/error.h"
#include "base/half.h"
#include "support/trace_fixture.h"
#include "trace/reader.h"
#include "trace/split/split.h"

namespace foregate::trace {
namespace {

void write(const std::string& directory) {
  Manifest manifest = fixture_manifest(fixture_geometry());
  manifest.router_logits = true;
  write_fixture(directory, manifest, 3, 20);
}

std::vector<float> floats(const std::vector<uint16_t>& halves) {
  std::vector<float> values;
  for (const uint16_t half : halves) values.push_back(half_to_float(half));
  return values;
}

void read(const std::string& path) {
  const TraceDirectory directory(path);
  const Manifest& manifest = directory.manifest();
  for (size_t shard = 0; shard < manifest.shards.size(); ++shard) {
    ShardReader reader = directory.open_shard(
        shard, {.gate_weights = manifest.gate_weights, .router_logits = manifest.router_logits});
    Trace trace;
    while (reader.next(trace)) {
      const Json line = {{"dataset", trace.dataset},
                         {"sample", trace.sample},
                         {"num_tokens", trace.num_tokens()},
                         {"prompt_tokens", trace.prompt_tokens},
                         {"token_ids", trace.token_ids},
                         {"experts", trace.experts},
                         {"gate_weights", floats(trace.gate_weights)},
                         {"router_logits", floats(trace.router_logits)}};
      std::cout << line.dump() << "\n";
    }
  }
}

void split(const std::string& path) {
  for (const Split side : split_traces(TraceDirectory(path))) std::cout << split_name(side) << "\n";
}

int run(const std::string& mode, const std::string& directory) {
  try {
    if (mode == "write") write(directory);
    if (mode == "read") read(directory);
    if (mode == "split") split(directory);
    return 0;
  } catch (const Error& error) {
    std::cerr << "error: " << error.what() << "\n";
    return static_cast<int>(error.exit_code());
  }
}

}  // namespace
}  // namespace foregate::trace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: trace_fixture write|read|split DIR\n";
    return 2;
  }
  return foregate::trace::run(argv[1], argv[2]);
}
