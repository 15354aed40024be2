// foregate._core: the C++ below the Python package. It links neither libtorch nor libarrow.
#include "bindings.h"

NB_MODULE(_core, module) {
  using namespace foregate::python;
  module.doc() = "The C++ below the package; what is public of it is exported by foregate itself.";
  bind_errors();
  bind_predictor(module);
  bind_traces(module);
  bind_splits(module);
  bind_routers(module);
  bind_statistics(module);
}
