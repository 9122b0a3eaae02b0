/* The entry points of cuda/device_games.h for kernels of numba.cuda.
 *
 * They have numba's calling convention for foreign functions: the result goes to the first
 * argument, and the returned 0 means success. FASTPG_DEVICE_TRANSLATION names a file written by
 * translate/rom_to_c.py, FASTPG_DEVICE_RUN its function. The translation is then called directly: a
 * call by pointer hides its caller's registers from the compiler. */
#ifdef FASTPG_DEVICE_TRANSLATION
#include FASTPG_DEVICE_TRANSLATION
#else
#include "console/translated_rom.h"
#define FASTPG_DEVICE_RUN ((a2600_run_t)0)
#endif
#define A26_RUN_OF(cartridge) FASTPG_DEVICE_RUN
#include "cuda/device_games.h"

extern "C" {

__device__ int fastpg_begin(int32_t *result, a26_gym_t *games, const fastpg_shared_t *shared,
                            const a26_seed_t *seeds, uint8_t *scratch, uint16_t *views, int32_t n) {
    *result = fastpg_device_begin(games, shared, seeds, scratch, views, n);
    return 0;
}

__device__ int fastpg_play(int32_t *result, a26_gym_t *games, const fastpg_shared_t *shared,
                           const uint8_t *actions, uint8_t *scratch, float *rewards, uint8_t *ends,
                           uint16_t *views, int32_t n, int32_t count, int32_t steps) {
    *result =
        fastpg_device_play(games, shared, actions, scratch, rewards, ends, views, n, count, steps);
    return 0;
}

__device__ int fastpg_step(int32_t *result, a26_gym_t *games, const fastpg_shared_t *shared,
                           const uint8_t *actions, uint8_t *scratch, float *rewards, uint8_t *ends,
                           uint16_t *views, int32_t n) {
    *result = fastpg_device_step(games, shared, actions, scratch, rewards, ends, views, n);
    return 0;
}

__device__ int fastpg_tiles(int32_t *result, const uint16_t *view, uint16_t *tiles,
                            int32_t capacity) {
    *result = fastpg_device_tiles(view, tiles, capacity);
    return 0;
}

} /* extern "C" */
