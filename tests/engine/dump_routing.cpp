// Writes what the engine routes, for tests/engine/live_parity_test.py to compare with transformers:
//   dump_routing MODEL_DIR IDS.safetensors OUT.safetensors [DTYPE [DEVICE]]
// IDS holds token_ids [T] and cu_seqlens [texts + 1], int32; all texts run as one packed batch.

#include <fmt/core.h>
#include <torch/types.h>

#include "base/error.h"
#include "routing_recorder.h"
#include "tensor/device/device.h"
#include "tensor/dtype.h"
#include "tensor/files/safetensors.h"

namespace foregate::engine {
namespace {

std::vector<int32_t> values_of(const tensor::SafetensorsFile& file, const char* name) {
  const torch::Tensor tensor = file.tensor(name).to(torch::kInt32).contiguous();
  const auto* data = tensor.const_data_ptr<int32_t>();
  return {data, data + tensor.numel()};
}

void dump(const char* model, const char* ids, const char* output, const char* dtype,
          const char* device) {
  const tensor::SafetensorsFile file(ids);
  const StepBatch batch{values_of(file, "token_ids"), values_of(file, "cu_seqlens")};
  Engine engine(model, {.compute = {.device = tensor::parse_device(device),
                                    .dtype = tensor::parse_dtype(dtype)},
                        .routing_only = false});
  testing::RoutingRecorder recorder;
  const StepResult result = engine.step(batch, recorder);
  tensor::write_safetensors(output, {{"logits", torch::stack(recorder.logits)},
                                     {"experts", torch::stack(recorder.experts)},
                                     {"gate_weights", torch::stack(recorder.gate_weights)},
                                     {"next_token_logits", result.next_token_logits.cpu()}});
}

}  // namespace
}  // namespace foregate::engine

int main(int argc, char** argv) {
  if (argc < 4 || argc > 6) {
    fmt::print(stderr,
               "usage: dump_routing MODEL_DIR IDS.safetensors OUT.safetensors [DTYPE [DEVICE]]\n");
    return 2;
  }
  try {
    foregate::engine::dump(argv[1], argv[2], argv[3], argc > 4 ? argv[4] : "float32",
                           argc > 5 ? argv[5] : "cpu");
  } catch (const foregate::Error& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 1;
  }
  return 0;
}
