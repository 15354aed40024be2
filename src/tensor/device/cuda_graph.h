#pragma once

#include <torch/types.h>

#include <functional>
#include <memory>

namespace foregate::tensor {

/// Work that is queued over and over on the same tensors. On a GPU it is recorded as a CUDA graph
/// at its third run and replayed from then on, which takes one launch instead of one for each
/// kernel; on the CPU it simply runs.
class CudaGraph {
 public:
  explicit CudaGraph(torch::Device device);
  ~CudaGraph();
  CudaGraph(const CudaGraph&) = delete;
  CudaGraph& operator=(const CudaGraph&) = delete;

  /// Runs `work` or replays it. It must queue the same operations each time, wait for nothing, read
  /// tensors that stay where they are, and leave its results in tensors that were there before.
  void run(const std::function<void()>& work);

 private:
  struct Recording;

  torch::Device device_;
  int runs_ = 0;  // unrecorded
  std::unique_ptr<Recording> recording_;
};

}  // namespace foregate::tensor
