#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "trace/manifest.h"
#include "trace/trace.h"

namespace foregate::trace {

/// L = 3, H = 16, vocabulary 1000; E and k as given.
Geometry fixture_geometry(int num_experts = 60, int top_k = 4);

/// A manifest without shards for two datasets.
Manifest fixture_manifest(const Geometry& geometry);

/// Trace `i`, by formulas that test_trace_format.py repeats:
///   dataset         "even" or "odd", by i
///   sample          10 i + 3
///   token_ids[t]    (131 i + 7 t) mod 1000
///   experts[t,l,r]  (i + 3 t + 5 l + 7 r) mod E       different for E without a factor of 7
///   gate_weights    1 / (r + 1 + (i + t + l) mod 4)
///   router_logits   ((i + 2 t + 3 l + 5 e) mod 41 - 20) / 8
Trace fixture_trace(const Manifest& manifest, int i, int num_tokens);

/// Tokens of trace i unless a test says otherwise: 1 + 37 i mod 50.
int fixture_tokens(int i);

/// A complete directory of `shards` shards with `rows` traces each.
Manifest write_fixture(const std::filesystem::path& directory, Manifest manifest, int shards,
                       int rows);

/// All traces of a directory, with gate weights where it has them.
std::vector<Trace> traces_of(const std::filesystem::path& directory);

std::string bytes_of(const std::filesystem::path& path);
void overwrite(const std::filesystem::path& path, const std::string& bytes);

}  // namespace foregate::trace
