#include "support/trace_fixture.h"

#include <fstream>

#include "base/files.h"
#include "base/half.h"
#include "trace/reader.h"
#include "trace/writer.h"

namespace foregate::trace {

Geometry fixture_geometry(int num_experts, int top_k) {
  Geometry geometry;
  geometry.num_moe_layers = 3;
  geometry.num_experts = num_experts;
  geometry.top_k = top_k;
  geometry.hidden_size = 16;
  geometry.vocab_size = 1000;
  geometry.num_decoder_layers = 6;
  geometry.moe_layers = {1, 3, 5};
  return geometry;
}

Manifest fixture_manifest(const Geometry& geometry) {
  Manifest manifest;
  manifest.model = "test-org/fixture";
  manifest.model_type = "qwen2_moe";
  manifest.config_sha256 = std::string(64, 'a');
  manifest.tokenizer_sha256 = std::string(64, 'b');
  manifest.dtype = "bfloat16";
  manifest.geometry = geometry;
  manifest.seed = 7;
  manifest.max_length = 512;
  manifest.shard_traces = 20;
  manifest.batch_tokens = 4096;
  manifest.datasets = {{"even", "even.csv:text", 0, 1000, 3}, {"odd", "odd.csv:text", 0, 900, 0}};
  return manifest;
}

int fixture_tokens(int i) {
  return 1 + 37 * i % 50;
}

Trace fixture_trace(const Manifest& manifest, int i, int num_tokens) {
  const Geometry& geometry = manifest.geometry;
  Trace trace;
  trace.dataset = i % 2 == 0 ? "even" : "odd";
  trace.sample = 10 * i + 3;
  trace.prompt_tokens = num_tokens;
  for (int t = 0; t < num_tokens; ++t) {
    trace.token_ids.push_back((131 * i + 7 * t) % 1000);
    for (int l = 0; l < geometry.num_moe_layers; ++l) {
      for (int r = 0; r < geometry.top_k; ++r) {
        const int expert = (i + 3 * t + 5 * l + 7 * r) % geometry.num_experts;
        trace.experts.push_back(static_cast<uint16_t>(expert));
        if (!manifest.gate_weights) continue;
        const auto divisor = static_cast<float>(r + 1 + (i + t + l) % 4);
        trace.gate_weights.push_back(float_to_half(1.0F / divisor));
      }
      for (int e = 0; manifest.router_logits && e < geometry.num_experts; ++e) {
        const auto eighths = static_cast<float>((i + 2 * t + 3 * l + 5 * e) % 41 - 20);
        trace.router_logits.push_back(float_to_half(eighths / 8));
      }
    }
  }
  return trace;
}

Manifest write_fixture(const fs::path& directory, Manifest manifest, int shards, int rows) {
  for (int shard = 0; shard < shards; ++shard) {
    ShardWriter writer(directory, shard, manifest);
    for (int i = shard * rows; i < (shard + 1) * rows; ++i) {
      writer.add(fixture_trace(manifest, i, fixture_tokens(i)));
      ++manifest.datasets[static_cast<size_t>(i % 2)].traces;
    }
    manifest.shards.push_back(writer.finish());
  }
  manifest.complete = true;
  write_manifest(directory, manifest);
  return manifest;
}

std::vector<Trace> traces_of(const std::filesystem::path& directory) {
  const TraceDirectory traces(directory);
  const TraceColumns columns{.gate_weights = traces.manifest().gate_weights};
  std::vector<Trace> all;
  for (size_t shard = 0; shard < traces.manifest().shards.size(); ++shard) {
    ShardReader reader = traces.open_shard(shard, columns);
    for (Trace trace; reader.next(trace);) all.push_back(trace);
  }
  return all;
}

std::string bytes_of(const fs::path& path) {
  return read_file(path);
}

void overwrite(const fs::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

}  // namespace foregate::trace
